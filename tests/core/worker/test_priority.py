"""The worker gives way to QGIS also where the scheduler compares sessions, not processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
_ASK = """
import os, sys
from pathlib import Path
from freshet.core.worker.main import lower_priority
lower_priority(7)
print(os.nice(0), Path("/proc/self/autogroup").read_text().split()[-1])
"""


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the system has no groups of the scheduler")
@pytest.mark.parametrize("own", [True, False])
def test_a_session_of_its_own_gives_way_as_a_whole(own):
    """Another's session, such as that of a terminal, is left as it is."""
    before = (os.nice(0), AUTOGROUP.read_text(encoding="ascii").split()[-1])
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, start_new_session=own)
    nice, group = done.stdout.split()
    assert int(nice) == min(19, before[0] + 7), done.stderr
    assert group == (nice if own else before[1])
