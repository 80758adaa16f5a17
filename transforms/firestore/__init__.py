"""The connector: Firestore read, written and listened to, on raw protobuf. Import from `transforms`."""
