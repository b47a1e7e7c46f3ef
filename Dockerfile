# syntax=docker/dockerfile:1
# One image per service: docker build --build-arg SERVICE=feeds .    (Flower: --target flower --build-arg SERVICE=flower)
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1

# The service's packages, each checked against its hash.
FROM base AS packages
ARG SERVICE
RUN test -n "${SERVICE}" || { echo "give --build-arg SERVICE=feeds|observables|notifications|mitre|scheduler|gateway" >&2; exit 1; }
WORKDIR /build
COPY requirements/uv.txt requirements/${SERVICE}.txt ./
RUN --mount=type=cache,target=/root/.cache \
    pip install --require-hashes -r uv.txt \
    && python -m venv --without-pip /opt/venv \
    && uv pip install --python /opt/venv/bin/python --link-mode copy --compile-bytecode --require-hashes -r ${SERVICE}.txt

# The code: shared/ and this service, and no other.
FROM packages AS code
# Docker hands it on from the stage before, Podman does not, and would copy the code of all services.
ARG SERVICE
COPY pyproject.toml README.md ./
COPY shared shared
COPY services/__init__.py services/
COPY services/${SERVICE} services/${SERVICE}
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && uv pip install --python /opt/venv/bin/python --compile-bytecode --no-deps dist/*.whl

# What runs: no compiler, no package manager of ours, no root.
FROM base AS runtime
RUN groupadd --gid 10001 sentineliq \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin sentineliq \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
ENV PATH=/opt/venv/bin:${PATH} HOME=/tmp
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["python", "-m"]

FROM runtime AS flower
COPY --from=packages /opt/venv /opt/venv
CMD ["celery", "flower", "--address=0.0.0.0", "--port=5555"]

# The command is the service's module and the kind of process: services.feeds api|worker|consumer|migrate
FROM runtime AS service
COPY --from=code /opt/venv /opt/venv
