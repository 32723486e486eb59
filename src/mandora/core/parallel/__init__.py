"""Many jobs that need one another: on one core, in several processes or on Ray; can be resumed.

A job runs in a folder of its own and leaves its result there. A journal beside the folders says
which jobs are done, so that the same call, given again after a crash or with other settings, does
only what is missing. Items that do not need one another go through
:func:`mandora.core.parallel.workers.map_items`.
"""

from mandora.core.parallel.jobs import Job, JobContext
from mandora.core.parallel.plan import Plan, plan
from mandora.core.parallel.pools import RUNNERS, threads_per_worker
from mandora.core.parallel.run import JobsFailed, map_jobs

__all__ = [
    "RUNNERS",
    "Job",
    "JobContext",
    "JobsFailed",
    "Plan",
    "map_jobs",
    "plan",
    "threads_per_worker",
]
