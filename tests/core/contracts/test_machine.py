"""What a machine has left: memory, cores and room, also in a container or under a limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from freshet.core.contracts import RunError, machine

GB = 2**30


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A system whose files are in ``tmp_path``; gives a function that writes one."""

    def read(path):
        place = tmp_path / str(path).lstrip("/")
        return place.read_text().strip() if place.is_file() else ""

    def write(path, text):
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{text}\n")

    monkeypatch.setattr(machine, "_text", read)
    write("/proc/meminfo", f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB")
    return write


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads files of Linux")


@linux
def test_what_can_be_had_without_swapping_counts(system):
    assert machine.free_memory() == 8 * GB


@linux
def test_a_container_of_version_2_allows_less_and_its_files_may_be_dropped(system):
    system("/proc/self/cgroup", "0::/user/job")
    system("/sys/fs/cgroup/user/job/memory.max", "max")
    system("/sys/fs/cgroup/user/job/memory.current", str(GB))
    system("/sys/fs/cgroup/user/memory.max", str(4 * GB))
    system("/sys/fs/cgroup/user/memory.current", str(3 * GB))
    system("/sys/fs/cgroup/user/memory.stat", f"anon {GB}\ninactive_file {GB}\n")
    assert machine.free_memory() == 2 * GB


@linux
def test_a_container_of_version_1_allows_less(system):
    system("/proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/abc\n1:name=systemd:/")
    system("/sys/fs/cgroup/memory/memory.limit_in_bytes", str(3 * GB))
    system("/sys/fs/cgroup/memory/memory.usage_in_bytes", str(GB))
    system("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 0")
    assert machine.free_memory() == 2 * GB
    system("/sys/fs/cgroup/memory/memory.limit_in_bytes", str(2**63 - 4096))
    assert machine.free_memory() == 8 * GB


@linux
def test_a_container_over_its_limit_has_nothing(system):
    system("/proc/self/cgroup", "0::/")
    system("/sys/fs/cgroup/memory.max", str(GB))
    system("/sys/fs/cgroup/memory.current", str(2 * GB))
    assert machine.free_memory() == 0


@linux
def test_a_container_is_allowed_a_share_of_the_cores(system, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert machine.cores() == 8
    system("/proc/self/cgroup", "0::/job")
    system("/sys/fs/cgroup/job/cpu.max", "250000 100000")
    assert machine.cores() == 3
    system("/sys/fs/cgroup/job/cpu.max", "max 100000")
    assert machine.cores() == 8


@linux
def test_a_container_of_version_1_is_allowed_a_share_of_the_cores(system, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    system("/proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/")
    system("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000")
    system("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
    assert machine.cores() == 2
    system("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
    assert machine.cores() == 8


@linux
def test_a_limit_of_the_process_counts():
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import conftest\n"
        "from freshet.core.contracts.machine import free_memory\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))\n"
        "print(free_memory())"
    )
    tests = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run([sys.executable, "-c", code, tests], capture_output=True, text=True, check=True)
    assert 0.8 * 2**28 < int(done.stdout) <= 2**28


def test_the_pages_of_macos_are_added_up():
    answer = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                               1000.\nPages active:                            99999.\n"
        "Pages inactive:                            200.\nPages speculative:                          30.\n"
        "Pages throttled:                             0.\nPages purgeable:                             4.\n"
    )
    assert machine.pages_free(answer) == 16384 * 1234 and machine.pages_free("vm_stat: failed") is None


def test_room_is_looked_for_in_a_folder_that_is_not_there_yet(tmp_path):
    assert "for maps" in machine.check_room(tmp_path / "a" / "b", 1000, "maps", "Free some")
    with pytest.raises(RunError) as refused:
        machine.check_room(tmp_path / "a" / "b", 10**18, "maps", "Free some")
    text = str(refused.value)
    assert "not enough room on the disc for maps" in text and "about 1e+06 TB" in text and "Free some." in text
    assert not (tmp_path / "a").exists()
