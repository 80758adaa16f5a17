"""What the status page shows, as plain data and as HTML: `firebeam serve` and `firebeam status ID --html`.

    JobData ──job_document──▶ one JSON document ──render──▶ parts and rows of HTML ─┬─▶ a page
    what the ledger says      also `status --json`                                  ├─▶ one file
                                                                                    └─▶ what changed, for open pages

Everything is bounded here, whatever the size of the job: 300 points of time, 200 bars.
"""
