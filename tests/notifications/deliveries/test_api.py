"""The ledger over the API."""

from tests.notifications.problems import problem


def test_the_ledger_is_paged_and_filtered(bench, receiver):
    _, rule, feed = bench.hook(receiver)
    bench.handle(*(bench.event(feed) for _ in range(5)))
    query = {"rule_id": rule["id"], "limit": 2}
    seen = []
    after = None
    for _ in range(3):
        page = bench.api.get(
            "/v1/deliveries", params=query | ({"after": after} if after else {})
        ).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert after is None
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5
    problem(bench.api.get("/v1/deliveries?state=lost"), 422, "state")
    problem(bench.api.get("/v1/deliveries?after=x"), 422, "after")
    bench.deliver()
    assert (
        bench.api.get("/v1/deliveries", params=query | {"state": "pending"}).json()["items"] == []
    )
    problem(bench.api.post(f"/v1/deliveries/{seen[0]}/retry"), 409)
