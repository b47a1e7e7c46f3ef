"""The titles of processes in `ps` and `top`."""

import setproctitle


def set_process_title(service: str, kind: str) -> None:
    """Show a process as `sentineliq: feeds worker` in `ps`, and as `feeds-worker` in `top`.

    Args:
        service: the service's name.
        kind: of process; Celery's pool processes are `task`.
    """
    setproctitle.setproctitle(f"sentineliq: {service} {kind}")
    # `setproctitle` also sets the short name, whose 15 characters would be the same for all.
    setproctitle.setthreadtitle(f"{service}-{kind}")
