"""Reading what others wrote in child processes that have limits, no secrets, files or network.

    parent                                     child: python -m shared.sandbox.child
    SandboxPool.run(job, request, files) ────▶ job(request, descriptors)
            frames, one by one           ◀──── yields frames
            the typed error, or the limit that was exceeded

A job is a function of a module; the parent names it, and sends it a request and open files. A child
serves one job at a time and stays for the next one. A document that exhausts a limit, or breaks the
child, costs the child and nothing else: `SandboxLimitExceeded` tells which limit it was, and the
parent goes on. docs/adr/0015-documents-in-limited-processes.md has the reasons.
"""
