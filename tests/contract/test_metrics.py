"""What the resolver counts, over a real server."""

from __future__ import annotations

import grpc.aio
import pytest

from forebay.resolver.v1 import plan_pb2
from forebay.resolver.v1 import resolver_service_pb2 as pb
from tests.contract.serving import closed, content, ended, failed, refused, serving
from tests.support.setup import until


async def test_resolves_by_name_and_result() -> None:
    async with serving() as it:
        plan = await it.resolve("SOLO(high)")
        await refused(it.resolving("nobody"))
        await refused(it.resolving("nobody else"))
        await refused(it.resolving(" "))
        await refused(it.resolving("off"))
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED))
        await refused(it.resolving("solo"))
        it.clock.breaks = True
        with pytest.raises(grpc.aio.AioRpcError):
            await it.resolving("solo")
        found = {
            (name, result): it.metric("forebay_resolves_total", name=name, result=result)
            for name, result in (
                ("solo", "ok"),
                ("", "not_found"),
                ("", "invalid"),
                ("off", "unavailable"),
                ("solo", "rate_limited"),
                ("", "failed"),
            )
        }
    assert found == {
        ("solo", "ok"): 1,
        ("", "not_found"): 2,
        ("", "invalid"): 1,
        ("off", "unavailable"): 1,
        ("solo", "rate_limited"): 1,
        ("", "failed"): 1,
    }


async def test_reports_by_what_they_led_to() -> None:
    async with serving() as it:
        plan = await it.resolve("solo", will_report=True)
        stranger = failed(plan, plan_pb2.DISPOSITION_BROKEN)
        stranger.failed.target_id = "nobody/m#0"
        stream = it.stub.ResolveStream(metadata=it.metadata)
        reports = [failed(plan, plan_pb2.DISPOSITION_BROKEN)] * 2 + [stranger, content(plan), pb.OutcomeReport()]
        items = [pb.ReportItem(id=i, report=report) for i, report in enumerate(reports, 1)]
        await stream.write(pb.ResolveStreamRequest(reports=items))
        assert list((await stream.read()).acknowledged) == [1, 2, 3, 4, 5]
        assert it.metric("forebay_resolve_streams") == 1
        stream.cancel()
        await it.report(ended(plan), closed(plan))

        async def is_over() -> bool:
            return it.metric("forebay_resolve_streams") == 0

        await until(is_over)
        for kind, effect in (
            ("failed", "applied"),
            ("failed", "repeated"),
            ("failed", "unknown_target"),
            ("content", "unused"),
            ("none", "invalid"),
            ("ended", "applied"),
            ("closed", "applied"),
        ):
            assert it.metric("forebay_reports_total", kind=kind, effect=effect) == 1, (kind, effect)


async def test_probes_by_what_became_of_them() -> None:
    def probes(event: str) -> float | None:
        return it.metric("forebay_probes_total", event=event)

    async with serving() as it:
        plan = await it.resolve("solo", will_report=True)
        await it.report(failed(plan, plan_pb2.DISPOSITION_RATE_LIMITED))
        assert it.metric("forebay_cooldowns_total", scope="target", reason="rate-limited") == 1
        it.clock.now += 30
        assert it.metric("forebay_target_state", target="one/s#0", state="probing") == 1
        plan = await it.resolve("solo", will_report=True)
        assert (probes("handed_out"), probes("returned")) == (1, 0)
        await it.report(closed(plan))
        assert probes("returned") == 1
        await it.resolve("solo", will_report=True)
        it.clock.now += 61
        await it.resolve("solo", will_report=True)
        assert (probes("handed_out"), probes("returned"), probes("expired")) == (3, 1, 1)


async def test_tokens_by_target_each_answer_once() -> None:
    async with serving() as it:
        plan, other = await it.resolve("solo", will_report=True), await it.resolve("solo", will_report=True)
        stranger = ended(plan, 100, 100)
        stranger.ended.target_id = "nobody/m#0"
        await it.report(ended(plan, 7, 3), ended(plan, 7, 3), ended(other, 1, 0), stranger)
        counted = {
            way: it.metric("forebay_tokens_total", target="one/s#0", direction=way) for way in ("input", "output")
        }
        assert counted == {"input": 8, "output": 3}
        assert it.metric("forebay_tokens_total", target="nobody/m#0", direction="input") is None
