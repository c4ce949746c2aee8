"""The worker gives way to QGIS also where the scheduler compares sessions, not processes."""

import os
import subprocess
import sys

import pytest

_GROUP = '''
def group():
    """The niceness of this session's group; "none" where the system keeps none or, the file being there and empty,
    where this session is in none, as in many a container."""
    try:
        with open("/proc/self/autogroup") as said:
            return (said.read().split() or ["none"])[-1]
    except OSError:
        return "none"
'''
_ASK = f"""
import os
from freshet.core.worker.main import lower_priority
{_GROUP}
before = group()
lower_priority(7)
print(os.nice(0), before, group())
"""


@pytest.mark.skipif(not hasattr(os, "nice"), reason="the system has no nice values")
@pytest.mark.parametrize("own", [True, False])
def test_a_session_of_its_own_gives_way_as_a_whole(own):
    """Another's session, such as that of a terminal, is left as it is."""
    expected = min(19, os.nice(0) + 7)
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, start_new_session=own)
    nice, before, after = done.stdout.split()
    assert int(nice) == expected, done.stderr
    assert after == (nice if own and before != "none" else before)
