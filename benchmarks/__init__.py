"""What Firebeam costs beside the alternatives, measured in one run on local emulators: `make bench`.

    __main__ ─▶ suites ─▶ measure ─▶ one child process a case ─▶ emulators
                   │                   (cases, ingest_cases, connector_cases, peers)
                   └─▶ report: tables, results/latest.json, results/latest.md

Nothing here is part of the product.
"""
