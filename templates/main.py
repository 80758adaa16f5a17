"""What a Flex Template's launcher starts: the job that the image was built for, with its parameters as flags."""

import os
import sys

from pipeline.__main__ import main

if __name__ == "__main__":
    job = os.environ.get("FIREBEAM_JOB") or sys.exit("FIREBEAM_JOB names no job: build the image with a JOB")
    sys.exit(main([job, *sys.argv[1:]]))
