#!/usr/bin/env python3
"""make demo, as a newcomer runs it: the page comes, and ^C leaves nothing."""
import os
import signal
import urllib.request

from lib import ROOT, Process, free_port, folder, run, site_file, test


@test
def the_demo_serves_its_page_until_interrupted_and_leaves_nothing():
    port = free_port()
    place = folder()
    environment = {**os.environ, "DEMO_PORT": str(port), "TMPDIR": place}
    demo = Process("make", "demo", cwd=ROOT, env=environment)
    url = demo.wait_for(r"http://localhost:\d+/", 120).group(0)
    assert url == f"http://localhost:{port}/"
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == site_file("index.html")
    processes = demo.children()
    demo.stop(signal.SIGINT)
    left = [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
    assert not left, left
    assert os.listdir(place) == [], os.listdir(place)


run()
