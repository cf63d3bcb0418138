"""Records that faust drops around a rebalance are read again; offsets that hold no record are passed over."""

from collections.abc import Sequence

import pytest

from coronium.runtime.positions import INSIST_SECONDS, Positions, Start, start

PARTITION = ("coronium.spectra.v1", 0)


def taken(records: Sequence[int], on_their_way: Sequence[int], expected: int) -> tuple[list[int], int]:
    """Return the offsets taken and the number of times the partition was read again.

    Parameters
    ----------
    records : sequence of int
        Offsets of the partition that hold a record.
    on_their_way : sequence of int
        Offsets in the order faust delivers them.
    expected : int
        Where the partition goes on.
    """
    positions = Positions({PARTITION: expected})
    arriving, result, again = list(on_their_way), [], 0
    while arriving:
        offset = arriving.pop(0)
        verdict = positions.take(PARTITION, offset)
        if verdict == "take":
            result.append(offset)
        elif verdict == "read again":
            again += 1
            arriving += [found for found in records if found >= positions.expected[PARTITION]]
    return result, again


@pytest.mark.parametrize(
    ("promise", "records", "on_their_way", "result", "again"),
    [
        ("records in order are taken", range(8), [5, 6, 7], [5, 6, 7], 0),
        ("what was seen is not taken again", range(8), [3, 4, 5, 5, 6], [5, 6], 0),
        ("a dropped record is read again before what follows", range(10), [7, 8, 9], [5, 6, 7, 8, 9], 1),
        ("offsets without records are passed over", [5, 8, 9], [5, 8, 9], [5, 8, 9], 1),
        ("a dropped record behind offsets without records is not lost", [7, 8, 9], [9], [7, 8, 9], 2),
    ],
)
def test_records_are_taken_in_order(
    promise: str, records: Sequence[int], on_their_way: Sequence[int], result: list[int], again: int
) -> None:
    assert taken(records, on_their_way, expected=5) == (result, again), promise


def test_a_partition_that_is_not_ours_is_dropped() -> None:
    assert Positions().take(PARTITION, 0) == "drop"


def test_a_gap_that_nothing_confirms_is_read_again_after_a_while() -> None:
    now = [0.0]
    positions = Positions({PARTITION: 5}, clock=lambda: now[0])
    positions.take(PARTITION, 7)
    assert positions.overdue() == []
    now[0] = INSIST_SECONDS + 0.1
    assert positions.overdue() == [PARTITION]
    assert positions.overdue() == []


@pytest.mark.parametrize(
    ("promise", "committed", "earliest", "end", "stored", "result"),
    [
        ("a stage without a store goes on from the commit", 50, 0, 90, None, Start(50)),
        ("a new group begins at the beginning", None, 5, 90, None, Start(5)),
        ("a store as far as the commit goes on from it", 50, 0, 90, 50, Start(50)),
        ("a store ahead of the commit gets some records twice", 50, 0, 90, 60, Start(50)),
        ("a restored store goes back", 50, 0, 90, 20, Start(20, behind=True)),
        ("an empty store goes back to the beginning", 50, 0, 90, 0, Start(0, behind=True)),
        ("what has gone from the log is told", 50, 30, 90, 20, Start(30, behind=True, lost=10)),
        ("also where the whole part has gone", 50, 80, 90, 20, Start(50, lost=60)),
        ("a store of another log begins at the beginning", 50, 0, 90, 1000, Start(0, behind=True)),
        ("a new group with a store begins at the beginning", None, 5, 90, 40, Start(5)),
    ],
)
def test_a_partition_goes_on_where_nothing_is_missed(
    promise: str, committed: int | None, earliest: int, end: int, stored: int | None, result: Start
) -> None:
    assert start(committed, earliest, end, stored) == result, promise


@pytest.mark.parametrize(
    ("promise", "committed", "earliest", "end", "stored", "result"),
    [
        ("a log that ends at the commit is whole", 50, 0, 50, None, Start(50)),
        ("a log that was cut short is read from its beginning", 50, 0, 40, None, Start(0, True, cut_short=True)),
        ("also where it begins later", 50, 30, 40, None, Start(30, True, cut_short=True)),
        ("a store as far as the commit has lost nothing by it", 50, 30, 40, 50, Start(30, True, cut_short=True)),
        ("a store that is behind as well has", 50, 30, 40, 10, Start(30, True, 20, cut_short=True)),
    ],
)
def test_a_log_that_is_doubted_is_read_again_where_it_is_shorter(
    promise: str, committed: int | None, earliest: int, end: int, stored: int | None, result: Start
) -> None:
    assert start(committed, earliest, end, stored, doubted=True) == result, promise


def test_an_end_that_no_reading_confirms_is_no_reason_to_go_back() -> None:
    # The embedded broker answers too low.
    assert start(40, 0, 37, 40) == start(40, 0, 37, None) == Start(40)


def test_a_partition_that_goes_back_is_read_again_until_something_comes() -> None:
    now = [0.0]
    positions = Positions({PARTITION: 50}, clock=lambda: now[0])
    positions.go_back(PARTITION, 20)
    assert positions.overdue() == []
    for _ in range(3):
        now[0] += INSIST_SECONDS + 0.1
        assert positions.overdue() == [PARTITION]
    assert positions.take(PARTITION, 20) == "take"
    now[0] += INSIST_SECONDS + 0.1
    assert positions.overdue() == []
    assert positions.take(PARTITION, 21) == "take"
