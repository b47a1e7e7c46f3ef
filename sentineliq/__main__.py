"""`sentineliq`: the front door for people and scripts."""

from sentineliq.cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="sentineliq")


if __name__ == "__main__":
    main()
