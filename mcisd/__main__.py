"""``mcisd``: which program is meant. In: arguments. Out: the exit code of the daemon's program or of the demo's."""

import sys


def main() -> int:
    """``mcisd demo …`` is the demonstration; all else is the daemon."""
    if sys.argv[1:2] == ["demo"]:
        from mcisd.demo.main import main as demo

        return demo(sys.argv[2:])
    from mcisd.agent.bundle import build_bundle
    from mcisd.daemon.main import main as daemon

    return daemon(sys.argv[1:], build_bundle)


if __name__ == "__main__":
    sys.exit(main())
