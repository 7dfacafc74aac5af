"""The smoke scale through a real Slurm: `make test-slurm`, as root on Debian, in ten to twenty minutes.

Brings up a cluster of this one machine from Debian's packages, runs the pipeline in it by the project's profile,
cancels a training in the middle, and compares every table with that of a local run: the same bytes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parents[1]
PACKAGES = ("munge", "slurm-wlm")
PLUGINS = ("snakemake-executor-plugin-slurm>=2.8,<3", "snakemake-executor-plugin-slurm-jobstep>=0.6,<1")
SYSTEMS = Path("/etc/slurm/slurm.conf")  # where every command of Slurm looks
CANCELLED = "digits"  # the task whose first training is cancelled
TARGET = ["--config", "scale=smoke", "--", "results/tables/"]

CONF = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=one Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=True, text=True, **options)  # type: ignore[call-overload,no-any-return]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """A controller and a node of Slurm, on this machine, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()
        host = socket.gethostname().partition(".")[0]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        conf = CONF.format(host=host, folder=folder, ports=free_ports(2), cpus=os.cpu_count(), memory=memory)
        (folder / "slurm.conf").write_text(conf)
        if SYSTEMS.is_symlink():  # of a run that was killed
            SYSTEMS.unlink()
        if SYSTEMS.exists():
            raise SystemExit(f"error: {SYSTEMS} is there: this machine has a Slurm; use it: docs/cluster.md")
        SYSTEMS.parent.mkdir(exist_ok=True)
        SYSTEMS.symlink_to(folder / "slurm.conf")  # Snakemake's jobs have no variable SLURM_CONF
        for name in ("state", "spool"):
            (folder / name).mkdir()

    def __enter__(self) -> Cluster:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("pid", "log", "seed")]
        self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket", *files
        )
        self._start("slurmctld", "-D", "-c")
        self._start("slurmd", "-D")
        deadline = time.monotonic() + 60
        while "idle" not in self.ask("sinfo", "-h", "-o", "%t"):
            if time.monotonic() > deadline:
                raise SystemExit(f"error: no node is idle after a minute; see the logs in {self.folder}")
            time.sleep(1)
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait(30)
        SYSTEMS.unlink()

    def ask(self, *words: str) -> str:
        """What a command of Slurm prints; nothing where the controller does not answer yet."""
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def _start(self, *words: str) -> None:
        self.running.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def cancel_a_training(cluster: Cluster, clone: Path, told: list[str]) -> None:
    """Cancels the first job whose training has saved its state."""
    while True:
        for state in clone.glob(f"results/smoke/{CANCELLED}/networks/*/*/state.safetensors"):
            model, seed = state.parts[-3:-1]
            for line in cluster.ask("squeue", "-h", "-t", "R", "-o", "%i %k").splitlines():
                job, _, comment = line.partition(" ")
                if f"train_{CANCELLED}" in comment and model in comment:
                    cluster.ask("scancel", job)
                    told.append(f"{CANCELLED}/{model}/{seed}")
                    return
        time.sleep(0.02)


def tables(clone: Path) -> dict[str, bytes]:
    folder = clone / "results" / "smoke" / "tables"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="a new folder to work in, which is kept (now a temporary one)")
    options = parser.parse_args()
    if not shutil.which("slurmctld") or not shutil.which("munged"):
        print(
            f"error: no Slurm; on Debian, as root: apt install --no-install-recommends {' '.join(PACKAGES)}",
            file=sys.stderr,
        )
        return 2
    if os.geteuid() != 0:
        print(
            "error: Slurm's daemons are started as root here; run it as root, in a container for instance",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plugins = folder / "plugins"  # not in the environment: installed, they slow every call of snakemake
        run(str(HERE / ".venv/bin/uv"), "pip", "install", "--quiet", "--no-deps", "--target", str(plugins), *PLUGINS,
            "--python", sys.executable)  # fmt: skip
        clones = [folder / name for name in ("local", "slurm")]
        for clone in clones:
            run("git", "clone", "--quiet", str(HERE), str(clone))
        times = []
        for clone in clones:
            environment = os.environ | {"PYTHONPATH": f"{clone}/src:{plugins}"}
            start = time.monotonic()
            if clone.name == "local":
                run("snakemake", "--cores", "all", *TARGET, cwd=clone, env=environment)
            else:
                (folder / "cluster").mkdir()
                with Cluster(folder / "cluster") as cluster:
                    told: list[str] = []
                    threading.Thread(target=cancel_a_training, args=(cluster, clone, told), daemon=True).start()
                    run("snakemake", "--workflow-profile", "workflow/profiles/slurm", *TARGET, cwd=clone,
                        env=environment)  # fmt: skip
            times.append(time.monotonic() - start)
        local, through_slurm = map(tables, clones)
        journals = "".join(path.read_text() for path in (clones[1] / "results" / "tracking").glob("train-*.jsonl"))
        again = len(re.findall(r'"status": ?"FAILED"', journals))
        print(f"cancelled: {', '.join(told) or 'nothing'}; trainings that were interrupted and went on: {again}")
        print(f"seconds: local {times[0]:.0f}, through Slurm {times[1]:.0f}")
        different = [name for name in sorted({*local, *through_slurm}) if local.get(name) != through_slurm.get(name)]
        print(f"tables: {len(local)} files, different: {', '.join(different) or 'none'}")
        return int(bool(different or not told or not again or not local))


if __name__ == "__main__":
    sys.exit(main())
