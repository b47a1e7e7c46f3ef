"""Programs that run inside a container and print as JSON what a process there may do."""

ACCOUNT = """
import json, os
from pathlib import Path

status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "uid": os.getuid(),
    "gid": os.getgid(),
    "capabilities": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "processes": sorted(
        name.read_text().strip() for name in Path("/proc").glob("[0-9]*/comm")
    ),
}))
"""
"""Its account, its privileges, and the processes that it sees."""

FILES = """
import json, os
from pathlib import Path

def may_write(folder):
    place = Path(folder) / "written-by-a-test"
    try:
        place.write_text("x")
    except OSError as error:
        return error.__class__.__name__ if error.errno != 30 else "ReadOnly"
    place.unlink()
    return "yes"

def may_read(path):
    try:
        Path(path).read_bytes()
    except OSError as error:
        return error.__class__.__name__
    return "yes"

folders = "/ /etc /opt/venv /usr/lib /proc/sys/kernel /sys /dev /tmp /data".split()
secrets = ("/etc/shadow", "/proc/kcore", "/dev/mem", "/proc/sysrq-trigger")
print(json.dumps({
    "writes": {folder: may_write(folder) for folder in folders},
    "reads": {path: may_read(path) for path in secrets},
    "data": oct(os.stat("/data").st_mode & 0o777),
    "open": sorted(
        str(path) for path in Path("/data").rglob("*") if path.lstat().st_mode & 0o077
    ),
    "services": sorted(path.name for path in Path(
        __import__("services").__path__[0]).iterdir() if (path / "__main__.py").exists()),
}))
"""
"""What it may read and write, and whose code it has."""

REACHES = """
import json, socket

def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True

print(json.dumps([reach(host, port) for host, port in {places!r}]))
"""
"""Which addresses answer."""

SANDBOX = """
import json
from shared.sandbox.child import ChildOptions
from shared.sandbox.limits import SandboxLimits
from shared.sandbox.process import SandboxProcess

child = SandboxProcess(ChildOptions(SandboxLimits()))
child.wait_until_ready()
print(json.dumps(child.holds))
child.close()
"""
"""What confines a child that reads documents."""
