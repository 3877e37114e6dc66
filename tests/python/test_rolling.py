"""The rolling restart itself: what is replaced, and how, follows from the seed."""

import itertools
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rolling"))

from forgotten import forgotten  # noqa: E402
from steps import PROCESSOR, SLIPSTREAM, STOCK, Step, steps  # noqa: E402


def some(seed: int, schedulers: int = 3, kills: float = 0.0, passes: int = 20) -> list[Step]:
    return list(itertools.islice(steps(seed, schedulers, 8, kills), (schedulers + 1) * passes))


LINE = ("2031-05-17T02:18:07Z [error    ] Executor LocalExecutor(parallelism=6) reported that the task instance <TaskInstance: d.t r"
        " [queued] ti_id=1> finished with state success, but the task instance's state attribute is queued. Learn more [{}")
STOCK_SAYS, WE_SAY = LINE.format("airflow.task] loc=taskinstance.py:1878"), LINE.format("slipstream.scheduler.executor_events]")


class Forgotten(unittest.TestCase):
    def test_only_what_stock_itself_said_is_excused(self):
        row, other = ("d", "r", "t", -1, 1), ("d", "r", "other", -1, 1)
        self.assertEqual(forgotten([STOCK_SAYS], [row, other]), {row})
        self.assertEqual(forgotten([WE_SAY], [row, other]), set())
        mapped = STOCK_SAYS.replace("d.t r [", "d.t r map_index=3 [")
        self.assertEqual(forgotten([mapped], [row, ("d", "r", "t", 3, 1)]), {("d", "r", "t", 3, 1)})


class Steps(unittest.TestCase):
    def test_a_seed_gives_one_order(self):
        self.assertEqual(some(7), some(7))
        self.assertNotEqual(some(7), some(8))

    def test_each_pass_replaces_everybody_once_and_the_next_one_goes_back(self):
        for number, one in enumerate(zip(*[iter(some(7))] * 4)):
            self.assertEqual({step.who for step in one}, {0, 1, 2, PROCESSOR})
            self.assertEqual({step.to for step in one}, {STOCK if number % 2 else SLIPSTREAM})
            self.assertEqual([step.last for step in one], [False, False, False, True])

    def test_a_dag_processor_is_never_beside_its_successor(self):
        found = some(7)
        self.assertEqual({step.surge for step in found if step.who != PROCESSOR}, {True, False})
        self.assertEqual({step.surge for step in found if step.who == PROCESSOR}, {False})

    def test_some_are_killed_where_that_is_asked_for(self):
        self.assertEqual({step.kill for step in some(7)}, {False})
        self.assertEqual({step.kill for step in some(7, kills=0.3)}, {True, False})


if __name__ == "__main__":
    unittest.main()
