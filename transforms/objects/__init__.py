"""Object stores that are not Google's: S3 and Azure Blob, read through their own clients.

store.py    what a store can do, and which one a path is of        reader.py   an object as a file
s3.py       s3://BUCKET/KEY                                        azure.py    azfs://ACCOUNT/CONTAINER/BLOB

Beam has file systems for both. They have no options before there is a pipeline, so that no input can be matched; they
make a client per call, which takes 0.2 s or more of CPU; a missing bucket is an empty one; and of Azure they read the
account that the credentials are of, whichever the path names.
"""
