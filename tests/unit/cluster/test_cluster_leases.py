"""Who does what: every piece of work by one process at a time, evenly, and taken over when one dies."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcisd.model.records import Lease
from tests.unit.cluster.cluster_kit import Cluster, cluster


def exactly_once(group: Cluster) -> bool:
    return all(len(names) == 1 for names in group.done_by().values())


async def test_one_process_does_everything(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        only = await group.start("a")
        await only.leases.settle()
        assert only.does == group.jobs
        assert only.leases.held == sorted(group.jobs)


async def test_three_share_and_nothing_is_done_twice(tmp_path: Path) -> None:
    async with cluster(tmp_path, 60) as group:
        for name in ("a", "b", "c"):
            await group.start(name)
        await group.settle()
        assert exactly_once(group)
        assert all(8 <= len(process.does) <= 32 for process in group.alive)


async def test_who_joins_takes_only_its_share_and_only_after_the_owner_has_ended(tmp_path: Path) -> None:
    async with cluster(tmp_path, 40) as group:
        first = await group.start("a")
        await group.settle()
        second = await group.start("b")
        await group.turn()
        assert all(len(names) <= 1 for names in group.done_by().values())
        await group.settle()
        assert exactly_once(group)
        ended = {entry[1:] for entry in first.log if entry.startswith("-")}
        assert ended == second.does


async def test_the_work_of_a_dead_process_is_taken_over_when_it_was_silent_for_long_enough(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        first, second = await group.start("a"), await group.start("b")
        await group.settle()
        lost = set(first.does)
        assert lost
        group.kill(first)
        await group.turn(4.0)
        assert not lost & second.does
        await group.settle(4)
        assert second.does == group.jobs


async def test_a_process_of_the_same_name_takes_over_at_once(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        group.kill(await group.start("a"))
        again = await group.start("a")
        await again.leases.settle()
        assert again.does == group.jobs


async def test_one_that_is_alone_takes_over_from_all_before_it(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        old = await group.start("old")
        await old.leases.settle()
        group.kill(old)
        new = await group.start("new", alone=True)
        await new.leases.settle()
        assert new.does == group.jobs


async def test_who_cannot_beat_stops_its_work_before_the_others_begin_it(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        first, second = await group.start("a"), await group.start("b")
        await group.settle()
        await group.clock.advance(10.5)  # the store is away for the first one alone
        await second.nodes.beat()
        assert first.nodes.fenced
        await first.leases.settle()
        assert not first.does


async def test_a_taken_lease_is_noticed(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1) as group:
        only = await group.start("a")
        await only.leases.settle()
        async with group.store.transaction() as tx:
            (row,) = await tx.find(Lease)
            await tx.delete(row)
        await only.leases.settle()
        assert only.log == ["+job-00", "-job-00", "+job-00"]


async def test_draining_gives_everything_away(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        first, second = await group.start("a"), await group.start("b")
        await group.settle()
        await first.nodes.drain()
        await group.settle()
        assert not first.does
        assert second.does == group.jobs


async def test_closing_frees_the_work_for_others_at_once(tmp_path: Path) -> None:
    async with cluster(tmp_path) as group:
        first, second = await group.start("a"), await group.start("b")
        await group.settle()
        await first.leases.close()
        await first.nodes.leave()
        group.kill(first)
        await group.turn()
        assert second.does == group.jobs


async def test_work_that_is_no_more_ends(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as group:
        only = await group.start("a")
        await only.leases.settle()
        group.jobs.remove("job-00")
        await only.leases.settle()
        assert only.does == {"job-01"}


STEPS = st.lists(st.sampled_from(["start", "kill", "drain", "turn", "long"]), min_size=1, max_size=14)


@pytest.mark.parametrize("seed", range(3))
@given(steps=STEPS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_happens_no_work_is_done_by_two_and_in_the_end_all_is_done(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    async with cluster(tmp_path_factory.mktemp("cluster"), 8) as group:
        count = 0
        for number, step in enumerate(steps):
            if step == "start" and len(group.alive) < 4:
                count += 1
                await group.start(f"p{count}")
            elif step == "kill" and group.alive:
                group.kill(group.alive[(seed + number) % len(group.alive)])
            elif step == "drain" and group.alive:
                await group.alive[(seed + number) % len(group.alive)].nodes.drain()
            else:
                await group.turn(11.0 if step == "long" else 2.0)
            assert all(len(names) <= 1 for names in group.done_by().values())
        await group.start("last")
        await group.settle(9)
        assert exactly_once(group)
