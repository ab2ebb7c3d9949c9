"""Many things to one result: runs in shards, which survive anything and go on where they stopped."""
