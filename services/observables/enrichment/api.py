"""The routes of remote enrichment."""

from fastapi import APIRouter

from services.observables.enrichment.answers.api import router as answers_router
from services.observables.enrichment.enrichers.api import router as enrichers_router
from services.observables.enrichment.policies.api import router as policies_router
from services.observables.enrichment.queues.api import router as queues_router
from services.observables.enrichment.requests.api import router as requests_router

router = APIRouter()
router.include_router(enrichers_router)
router.include_router(requests_router)
router.include_router(answers_router)
router.include_router(policies_router)
router.include_router(queues_router)
