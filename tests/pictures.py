#!/usr/bin/env python3
"""Makes the pictures of the README, of a daemon that works off a few dispatches with the fake agent: fixtures/pictures/
status.svg, what `status` shows on a terminal of 96 columns, and page.png, the page of `report --html` in headless Chromium
(SKIPPED where that is missing). Run by `make pictures`; the one argument is the built daemon."""

import fcntl, html, json, os, pathlib, pty, re, shutil, struct, subprocess, sys, tempfile, termios, time

COLUMNS, FONT, LINE, CHAR = 96, 14, 20, 8.43
ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = {"1": None, "2": "#8b949e", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea", "90": "#8b949e"}


def on_terminal(words, environment):
    """What a program prints on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    out = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    if child.wait() != 0:
        sys.exit(child.stderr.read().decode())
    return out.decode().replace("\r\n", "\n")


def spans(line):
    style, out = [], []
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if code:
            style = [] if code[1] in ("", "0") else style + code[1].split(";")
        elif piece:
            colour = next((COLOURS[c] for c in style if COLOURS.get(c)), None)
            looks = (f' fill="{colour}"' if colour else "") + (' font-weight="bold"' if "1" in style else "")
            out.append(f"<tspan{looks}>{html.escape(piece)}</tspan>")
    return "".join(out)


def svg(command, text):
    lines = [f"\x1b[2m$\x1b[0m {command}"] + text.rstrip("\n").split("\n")
    width, height = int(COLUMNS * CHAR) + 32, LINE * len(lines) + 28
    rows = "\n".join(
        f'<text x="16" y="{28 + LINE * at}" xml:space="preserve">{spans(line)}</text>' for at, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT}" fill="#e6edf3" role="img" '
        f'aria-label="{html.escape(command)}">\n<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n{rows}\n</svg>\n'
    )


def page(daemon, environment, home):
    """The page of all that has ended, as Chromium shows it."""
    made, target = home / "page.html", ROOT / "fixtures/pictures/page.png"
    subprocess.run([daemon, "report", "--since", "all", "--html", str(made)], env=environment, check=True, stdout=subprocess.DEVNULL)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print("SKIPPED: the picture of the page: no Chromium is installed")
        return
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--no-first-run"]
    size = ["--window-size=1100,900", f"--user-data-dir={home / 'chromium'}", f"--screenshot={target}"]
    subprocess.run([chromium, *flags, *size, made.as_uri()], check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(target)


def until(what, so):
    end = time.monotonic() + 60
    while not so():
        if time.monotonic() > end:
            sys.exit(f"it did not come: {what}")
        time.sleep(0.05)


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="pictures-"))
    daemon = os.path.abspath(sys.argv[1])
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "TZ": "UTC", "USER": "me"}
    inbox = home / ".gstack/dispatch"
    for project in ("shop", "api", "site"):
        (home / "git" / project).mkdir(parents=True)
    fifo = home / "gate"
    os.mkfifo(fifo)

    def send(id, project, *orders):
        task = "\n".join(["Make the login test pass."] + [f"fake: {order}" for order in orders])
        file = {"id": f"dispatch-{id}", "dispatched_by": "me", "task": task, "project": project, "project_dir": f"~/git/{project}"}
        beside = home / f"{id}.json"
        beside.write_text(json.dumps(file))
        beside.rename(inbox / f"dispatch-{id}.json")

    def beat(so):
        try:
            return so(json.loads((inbox / ".daemon-heartbeat").read_text()))
        except (OSError, ValueError, LookupError):
            return False

    ended = lambda id: (inbox / "completed" / f"dispatch-{id}.json").exists()
    run = subprocess.Popen(
        [daemon, "--claude", str(ROOT / "fixtures/bin/claude"), "--min-ttl", "1"],
        env=environment, stderr=subprocess.DEVNULL,
    )
    try:
        until("the daemon", lambda: beat(lambda b: b["state"] == "run"))
        send("a8b1n5w0kt", "api", "result refusal")
        for at, (id, project) in enumerate([("c1n7", "api"), ("e5k2", "shop"), ("g8p4", "site"), ("h3w9", "api"), ("j6z1", "shop")]):
            send(id + "q0v8da", project, "turn done", f"sleep {1 + at % 3}")
        until("five ends", lambda: all(ended(id + "q0v8da") for id in ("c1n7", "e5k2", "g8p4", "h3w9", "j6z1")))
        send("t4v9r6q1mz", "site", "turn done")
        until("two ends", lambda: ended("a8b1n5w0kt") and ended("t4v9r6q1mz"))
        send("k3f9x2ab7q", "shop", "turn I look at the tests first.", "tool Bash cargo test", f"block {fifo}")
        until("a session with turns", lambda: beat(lambda b: b["sessions"][0]["turns"] > 0))
        send("m2p7c1xz4d", "shop")
        until("one that waits", lambda: beat(lambda b: b["queued"] == 1))
        text = on_terminal([daemon, "status"], environment)
    finally:
        run.terminate()
        gate = os.open(fifo, os.O_RDWR)
        os.write(gate, b"\n")
        run.wait(timeout=60)
        os.close(gate)
        page(daemon, environment, home)
        shutil.rmtree(home, ignore_errors=True)
    target = ROOT / "fixtures/pictures/status.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(svg("gstack-dispatch-daemon status", text))
    print(target)


main()
