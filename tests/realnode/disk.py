# SPDX-License-Identifier: Apache-2.0
"""The disk that turns a guest into a node: `python3 -m tests.realnode.disk` makes it, and prints its path.

bin/         kubelet, kube-proxy, containerd and its shim, ctr
containerd/  the data of containerd, with our images in it, and an image for the sandbox of a pod
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster.kubernetes import kubernetes
from tests.image.build import NAMES, ensure_images
from tests.realnode import dockerarchive
from tests.realnode.containerd import COMMANDS, containerd
from vmtest.cache import cache_dir, digest, forget_old, locked, publishing
from vmtest.chroot import MOUNTS, chroot_run, private_command
from vmtest.errors import HarnessError, ImageError
from vmtest.image import Image, ensure_image
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path(__file__).parent
PAUSE: Final = FOLDER / "pause.c"
PAUSE_IMAGE: Final = "docker.io/library/oompolicy-pause:1"
OF_KUBERNETES: Final = ("kubelet", "kube-proxy")
SPARE_MIB: Final = 1024
"""Space for the file system's own data, and for the files that containers write."""

# In an emulated guest it would take minutes to unpack the images. $1 is the programs' folder, $2 the data of
# containerd, and the images follow. containerd mounts the images, so it has its own mounts and sockets.
UNPACK: Final = """
bin=$1; root=$2; shift 2
mount -t tmpfs tmpfs /run
"$bin/containerd" --config /dev/null --root "$root" --state /run/containerd --address /run/containerd.sock &
ctr="$bin/ctr --address /run/containerd.sock --namespace k8s.io"
until $ctr version; do kill -0 $!; sleep 0.1; done
for image; do $ctr images import "$image"; done
kill $!
wait $! || [ $? = 143 ]
"""


def ensure_disk(image: Image) -> Path:
    """Return the disk for the current programs and images. Make it now if it does not exist. HarnessError."""
    programs, runtime, images = kubernetes().ensure(), containerd().ensure(), ensure_images()
    recipe = [Path(module).read_bytes() for module in (__file__, dockerarchive.__file__, PAUSE)]
    names = [image.key, programs.name, runtime.name, images.folder.name]
    target = cache_dir() / "realnode" / digest([*map(str.encode, names), *recipe])
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step("realnode: disk"), publishing(target) as work:
                link(work / "tree/bin", [programs / name for name in OF_KUBERNETES])
                link(work / "tree/bin", [runtime / name for name in COMMANDS])
                compile_pause(image, work)
                unpack(work, [*(images.tar(name) for name in NAMES), work / "pause.tar"])
                write_disk(work)
            forget_old(target)
    return target / "disk.img"


def link(folder: Path, programs: Sequence[Path]) -> None:
    """Link the programs into the folder, because copies would need a quarter of a gigabyte."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        os.link(program, folder / program.name)


def compile_pause(image: Image, work: Path) -> None:
    """Compile with the guest's compiler. The program is static, because its image has nothing else."""
    made, source = f"{MOUNTS}/made/pause", f"{MOUNTS}/source/{PAUSE.name}"
    command = ["gcc", "-Wall", "-Werror", "-O2", "-static", "-s", "-o", made, source]
    chroot_run(image, command, {"made": work, "source": FOLDER}, work / "log")
    dockerarchive.write_image(work / "pause.tar", PAUSE_IMAGE, (work / "pause").read_bytes())


def unpack(work: Path, images: Sequence[Path]) -> None:
    """Let the containerd of the guest import the images on this machine."""
    words = [work / "tree/bin", work / "tree/containerd", *images]
    run_logged(private_command(UNPACK, [str(word) for word in words]), work / "log", error=ImageError)


def write_disk(work: Path) -> None:
    """Turn the tree into a file system, and remove everything else."""
    size = sum(path.stat().st_size for path in (work / "tree").rglob("*") if path.is_file())
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(work / "tree")]
    run_logged([*command, str(work / "disk.img"), f"{(size >> 20) + SPARE_MIB}M"], work / "log", error=ImageError)
    shutil.rmtree(work / "tree")
    for name in ("pause", "pause.tar"):
        (work / name).unlink()


def main() -> int:
    """Make the disk if it does not exist, and print its path."""
    try:
        print(ensure_disk(ensure_image()))
    except HarnessError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
