"""Work on objects: parsing, copying, sorting and writing, with stacks some calls deep."""

import json
import sys

records = [
    {"name": f"n{at}", "weight": at / 7, "tags": ["t" * length for length in range(at % 6)]}
    for at in range(400)
]
text = json.dumps(records)


def work(depth):
    if depth:
        return work(depth - 1)
    read = json.loads(text)
    keyed = {record["name"]: dict(record, again=str(record["weight"])) for record in read}
    ordered = sorted((record["weight"], record["name"]) for record in keyed.values())
    return len(json.dumps(ordered))


written = 0
for _ in range(int(sys.argv[1])):
    buffers = [bytearray(500 + size) for size in range(150)]
    small = [object() for _ in range(1500)]
    written += work(10)
print(written)
