"""Install the real peers before the tests start: `python -m tests.testbed.install`.

A test that installs its own peer counts the download into its time limit: on a new machine the first test of each
peer would fail. What cannot be installed is named with the reason; the tests that need it skip themselves.
"""

from __future__ import annotations

import sys

from tests.testbed.asterisk import ensure_root
from tests.testbed.chromium import HEADLESS, WHOLE, ensure_browser
from tests.testbed.packages import ensure_packages

PACKAGES = ("sip-tester", "dovecot-imapd", "postfix")


def main() -> None:
    reasons = [ensure_packages(PACKAGES), ensure_browser(HEADLESS), ensure_browser(WHOLE)]
    root = ensure_root()
    reasons.append(root if isinstance(root, str) else None)
    for reason in filter(None, reasons):
        sys.stdout.write(f"Some tests will be skipped: {reason}\n")


if __name__ == "__main__":
    main()
