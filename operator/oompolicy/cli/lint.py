# SPDX-License-Identifier: Apache-2.0
"""The command `lint`."""

import click

from oompolicy.cli.files import file_options
from oompolicy.cli.printing import write
from oompolicy.cli.program import EPILOG
from oompolicy.manifests import Manifests
from oompolicy.manifests.lint import problems_of
from oompolicy.manifests.warnings import warnings_of


@click.command(epilog=EPILOG)
@file_options
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
def command(*, manifests: Manifests, strict: bool) -> int:
    """Print each mistake and each warning with its file, object and field.

    The pods are those of the input, and the pod templates of Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs
    and CronJobs.
    """
    problems, warnings = problems_of(manifests), warnings_of(manifests)
    write("".join([*(f"{problem}\n" for problem in problems), *(f"warning: {each}\n" for each in warnings)]))
    return 1 if problems or (warnings and strict) else 0
