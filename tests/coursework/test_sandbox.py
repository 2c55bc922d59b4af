"""What a submission can and cannot do in the sandbox: adversaries, each of which ends with a sentence."""

import builtins
import os
import socket
import struct
import sys
import textwrap
import time
from pathlib import Path

import pytest
from grader import sandbox, syscalls
from grader.sandbox import Limits, NoSandbox
from grader.trial import trial
from grader.watch import Run, Watch
from grader_tools import walls

pytestmark = walls
USER = 57_000 + os.getpid() % 1000 if os.geteuid() == 0 else None
EMPTY = "def probe_{}(submitted):\n    return {{}}"


def run(*cells: str, probes: dict[str, str] | None = None, **limits) -> Run:
    small = {"seconds": 20, "memory": 400 << 20, "disk": 8 << 20, "slack": 120}
    return Watch(list(cells), probes or {}, Limits(**small | limits), USER).run()


def raised(found: Run) -> list[str]:
    """What the cells raised, by kind."""
    return [note.split(" raised ")[1].split(":")[0] for note in found.notes]


def left_behind() -> set[int]:
    """Processes of the user as which root lets a submission run."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == USER:
                found.add(int(folder.name))
        except OSError:
            pass
    return found


def nothing_is_left_behind() -> bool:
    until = time.monotonic() + 10
    while left_behind() and time.monotonic() < until:
        time.sleep(0.1)
    return not left_behind()


# ---- out of the sandbox ----

DENIED = {  # what is tried, each in a cell of its own: its error
    "socket.socket()": "PermissionError",
    "socket.socket(socket.AF_UNIX)": "PermissionError",
    "socket.create_connection(('127.0.0.1', {port}))": "PermissionError",
    "open('/etc/passwd')": "FileNotFoundError",
    "open({secret!r})": "FileNotFoundError",
    "os.listdir({home!r})": "FileNotFoundError",
    "open('/proc/1/environ')": "FileNotFoundError",
    "open('/proc/self/mem')": "FileNotFoundError",
    "os.environ['A_SECRET_OF_THE_GRADER']": "KeyError",
    "open(os.__file__, 'a')": "OSError",
    "open(json.__file__ + 'x', 'w')": "OSError",
    "open('/library/leaklib/x', 'w')": "OSError",
    "os.remove('/inside.py')": "OSError",
    "open('/inside.py', 'w')": "OSError",
    "os.symlink('/', '/out')": "OSError",
    "os.setuid(0)": "PermissionError",
    "os.chroot('/tmp')": "PermissionError",
    "os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))": "PermissionError",
    "time.clock_settime(time.CLOCK_REALTIME, 0)": "PermissionError",
    "resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))": "ValueError",
    "os.nice(-5)": "PermissionError",
    "call('ptrace', 16, 1, 0, 0)": "PermissionError",
    "call('unshare', 0x10000000)": "PermissionError",
    "call('mount', 0, b'/tmp', b'tmpfs', 0, 0)": "PermissionError",
    "subprocess.check_output([sys.executable, '-c', CONNECT])": "subprocess.CalledProcessError",
}
PRELUDE = """\
import ctypes, json, os, resource, signal, socket, subprocess, sys, time
CONNECT = "import socket; socket.socket()"
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
"""


def test_nothing_leads_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_GRADER", "1")
    (tmp_path / "key").write_text("the key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"port": server.getsockname()[1], "secret": str(tmp_path / "key"), "home": str(tmp_path)}
        found = run(PRELUDE, *(cell.format(**names) for cell in DENIED))
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert found.ended == ""
    for got, (tried, error) in zip(raised(found), DENIED.items(), strict=True):
        kind = getattr(builtins, got, None)
        assert got == error or (error == "OSError" and issubclass(kind, OSError)), f"{tried}: {got}"


def test_a_submission_is_alone_and_nobody() -> None:
    found = run(
        "import os, signal",
        "assert os.getuid() == os.geteuid() != 0 and os.getppid() == 1",
        f"assert os.getuid() != {os.getuid()}",
        "for pid in (os.getppid(), -1):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass",
        "assert not [name for name in os.listdir('/proc') if name.isdigit()]",
        "assert set(os.listdir('/dev')) == {'null', 'zero', 'urandom', 'random'}",
        "assert os.listdir('/tmp') == [] and os.getcwd() == '/tmp'",
        "assert not set(os.listdir('/')) & {'home', 'var', 'sys', 'run', 'mnt', 'srv', 'opt', 'boot'}",
    )
    assert found == Run(printed=found.printed)


def test_the_trial_finds_the_walls_in_place_and_what_is_not_hidden(tmp_path: Path) -> None:
    trial(Limits(), USER, os.getuid(), [tmp_path])
    with pytest.raises(NoSandbox, match=r"No submission was run: .* /usr is in sight\).*\.devcontainer"):
        trial(Limits(), USER, os.getuid(), [tmp_path, Path("/usr")])


@pytest.mark.parametrize("lost", ["bwrap", "linux", "namespaces"])
def test_without_walls_nothing_runs(lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if lost == "bwrap":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif lost == "linux":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:  # as where they are forbidden: bubblewrap says so and ends
        (tmp_path / "bwrap").write_text(
            "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
        )
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandbox, match=r"No submission was run: .*apt install bubblewrap"):
        run("open('/tmp/it-ran', 'w')")


def test_what_must_not_be_seen_may_not_lie_where_submissions_read() -> None:
    with pytest.raises(NoSandbox, match="which submissions can read"):
        sandbox.check_outside([Path(sys.prefix) / "submissions"])


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_filter_of_calls_is_a_program_that_ends(machine: str) -> None:
    lines = list(struct.iter_unpack("=HBBI", syscalls.program(machine)))
    for at, (_, if_true, if_false, _) in enumerate(lines):
        assert at + 1 + max(if_true, if_false) < len(lines) or lines[at][0] == syscalls.RETURN
    assert lines[-1] == (syscalls.RETURN, 0, 0, syscalls.ALLOW)
    column = syscalls.MACHINES[machine][0]
    assert len({numbers[column] for numbers in syscalls.SHUT.values()}) == len(syscalls.SHUT)
    with pytest.raises(ValueError, match="riscv64"):
        syscalls.program("riscv64")


# ---- without end ----

SECOND = "took more than 1 s of processor time"
WITHOUT_END = {  # a cell, and how its submission ends
    "runs": (
        """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True:
            try:
                while True: pass
            except BaseException: pass""",
        SECOND,
    ),
    "waits": ("import time; time.sleep(999)", "took more than 7 s on the clock"),
    "forks": (
        """
        import os
        while True:
            try: os.fork()
            except BaseException: pass""",
        SECOND,
    ),
    "allocates in many processes": (
        """
        import os, time
        for _ in range(20):
            if os.fork() == 0: break
        kept = b"x" * (20 << 20)
        time.sleep(99)""",
        "took more than 150 MB of memory",
    ),
    "prints": ("while True: print('x' * 10_000)", "printed more than 100,000 bytes"),
    "makes files": (
        """
        for i in range(10**9): open(f"/tmp/{i}", "w").close()""",
        "made more than 2,000 files",
    ),
    "answers": (
        """
        import os
        for descriptor in range(3, 9):
            try:
                while True: os.write(descriptor, bytes(4) + b"\\0\\1\\0\\0" + bytes(1 << 16))
            except OSError: pass""",
        "wrote into the channel of its answers",
    ),
}


@pytest.mark.parametrize("what", WITHOUT_END)
def test_what_has_no_end_is_ended(what: str) -> None:
    cell, says = WITHOUT_END[what]
    sizes = {"memory": 150 << 20, "files": 2000, "printed": 100_000, "answers": 1 << 20}
    found = run(textwrap.dedent(cell), seconds=1, slack=4 if what == "waits" else 90, **sizes)
    assert found.ended == says
    assert nothing_is_left_behind()


def test_what_is_too_large_fails_in_its_own_cell() -> None:
    found = run(
        "open('/tmp/full', 'wb').write(bytes(20 << 20))",
        "import os\nos.remove('/tmp/full')\nopen('/tmp/room', 'wb').write(bytes(1 << 20))",
        "b'x' * (2 << 30)",
        "files = [open('/dev/null') for _ in range(1000)]",
        "while True:\n    try: pass\n    except Exception: pass",
        "import mmap\nmmap.mmap(-1, 1 << 40)",
        "while True: os.fork() or os._exit(0)",
        "print('still here')",
        seconds=6,
    )
    assert found.ended == ""
    errors = ["OSError", "MemoryError", "OSError", "TimeoutError", "OSError", "BlockingIOError"]
    assert raised(found) == errors
    assert found.printed.endswith(b"still here\n")


# ---- answers ----

NUMBERS = "def probe_7_1(submitted):\n    import numpy\n    return {'y': numpy.full(2, submitted['x'])}"
PROBES = {"7.1": NUMBERS, "7.2": NUMBERS.replace("7_1", "7_2").replace("'x'", "'z'")}
FORGE = """
import json, os, struct
def forge(head, body=b"", size=None):
    text = json.dumps(head).encode()
    message = struct.pack(">II", len(text), len(body) if size is None else size) + text + body
    for descriptor in range(3, 9):
        try: os.write(descriptor, message)
        except OSError: pass
"""


def test_each_task_is_asked_for_whatever_happens_in_another() -> None:
    found = run("z = 3", probes=PROBES)
    assert found.errors == {"7.1": ("KeyError", "x")}
    assert b'"dtype":"I64","shape":[2],"data_offsets":[0,16]' in found.answers["7.2"]
    assert found.answers["7.2"].endswith(struct.pack("<2q", 3, 3))


def test_a_submission_speaks_for_itself_only() -> None:
    """Forged answers are its own answers: to tasks that there are, once, and nowhere else."""
    answer = "forge({'task': '%s', 'error': None}, b'forged')"
    cells = [FORGE, "forge({'notes': []})", *(answer % task for task in ("7.1", "9.9", "7.1", "7.2"))]
    found = run(*cells, probes=PROBES)
    assert found.answers == {"7.1": b"forged", "7.2": b"forged"} and not found.errors and not found.ended
    for said in ("['notes']", "{'notes': 5}", "{}", "{'notes': []}, b'', 1 << 31"):
        assert run(FORGE, f"forge({said})").ended == "wrote into the channel of its answers"


def test_what_was_answered_before_the_end_stays() -> None:
    cell = "import os\nclass Z:\n    def __array__(*_, **__): os._exit(3)\nx, z = 1, Z()"
    found = run(cell, probes=PROBES)
    assert list(found.answers) == ["7.1"]
    assert found.ended == "ended before its checks were through (exit status 3)"


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("os._exit(0)", 0),
        ("os.execv('/usr/bin/env', ['env', 'true'])", 0),
        ("os.kill(os.getpid(), 9)", 137),
    ],
)
def test_a_submission_that_leaves_is_not_checked(cell: str, status: int) -> None:
    found = run(f"import os\n{cell}", "x = z = 1", probes=PROBES)
    assert found == Run(ended=f"ended before its checks were through (exit status {status})")


def test_a_child_left_behind_changes_nothing() -> None:
    daemon = """
import time
if os.fork() == 0:
    os.setsid()
    while True:
        forge({'task': '7.2', 'error': None}, b'late')
        time.sleep(.05)
"""
    found = run(FORGE + daemon, "x = z = 1", probes={"7.1": NUMBERS})
    assert list(found.answers) == ["7.1"] or found.ended == "wrote into the channel of its answers"
    assert nothing_is_left_behind()


def test_a_child_that_forgot_to_end_says_nothing() -> None:
    found = run("import os\nos.fork()", "x = z = 1", "1 / 0", probes=PROBES)
    assert found.notes == ["cell 3 raised ZeroDivisionError: division by zero"]
    assert len(found.answers) == 2


# ---- cells ----


def test_cells_run_in_order_each_on_its_own() -> None:
    found = run(
        "x = 1",
        "raise SystemExit('no')",
        "x +=",
        "%matplotlib inline\n!pip install torch\nif x:\n    %timeit 1\nx = !ls\nx = 2\nx?",
        "%%bash\nrm -rf /",
        "%%time\nx += 1",
        "text = '''\n%no magic\n'''\nassert '%' in text",
        "display(x); get_ipython(); input()",
        "raise KeyError(chr(0xd800) * 2000)",
        "class Mean(Exception):\n    def __str__(self): raise SystemExit\nraise Mean",
        "# \ud800",
        "print(x, '\ud800')",
    )
    left_out = [note for note in found.notes if "raised" not in note]
    assert left_out == [
        f"cell {i}: left out {n} lines that only a notebook understands" for i, n in ((4, 5), (5, 2), (6, 1))
    ]
    kinds = ["SystemExit", "SyntaxError", "EOFError", "KeyError", "an error", "UnicodeEncodeError"]
    assert raised(Run([note for note in found.notes if "raised" in note])) == [*kinds, "UnicodeEncodeError"]
    assert max(map(len, found.notes)) < 400 and found.ended == ""


def test_what_is_said_of_the_cells_knows_no_hidden_check() -> None:
    """Notes come out before the first probe goes in, and a cell that waits for it waits in vain."""
    listen = """
import os, select
for descriptor in range(3, 9):
    try: heard = select.select([descriptor], [], [], .2)[0] and os.read(descriptor, 99)
    except OSError: continue
    assert not heard, heard
"""
    found = run(listen, "x = z = 1", probes=PROBES)
    assert found.notes == [] and len(found.answers) == 2
