"""
The matrix of test_failpoints.py with MariaDB as the backend: other statements, no transaction around them, a lock and KILL
in the place of NOLOGIN and pg_terminate_backend(). The daemon's own points are the same and are gone through there: here a
part is drawn by the seed, the points of workers first. LEASED_TEST_ALL: all of it.
"""

import pytest

import operations
from test_failpoints import ALL, ONLY, SEED, Case, Matrix

# An account of MariaDB owns nothing, so that no removal is refused.
OPERATIONS = [operations.Mint, operations.MintFails, operations.MintUnanswered, operations.Renew, operations.Revoke,
              operations.Expire, operations.Bulk, operations.Recover]
CASES = 40


def drawn(cases):
    if ALL or ONLY:
        return [case for case in cases if ONLY in str(case)]
    by_worker = sorted((case for case in cases if case.point.startswith("worker_")), key=Case.rank)
    others = sorted((case for case in cases if not case.point.startswith("worker_")), key=Case.rank)
    return by_worker[:CASES // 2] + others[:CASES - len(by_worker[:CASES // 2])]


@pytest.fixture(scope="module")
def matrix(mariadb):
    return Matrix(mariadb, OPERATIONS, drawn, "MariaDB").run()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_nothing_is_left_and_nothing_is_lost_on_mariadb_by_a_kill_in_the_middle_of(matrix, operation):
    failures = matrix.failures.get(operation, [])
    assert not failures, f"LEASED_TEST_SEED={SEED}: {len(failures)} cases:\n" + "\n\n".join(failures)


def test_the_part_that_was_drawn_has_points_of_workers_and_of_the_daemon(matrix):
    workers = {point for point in matrix.reached if point.startswith("worker_")}
    assert ONLY or (workers and matrix.reached - workers), matrix.reached
