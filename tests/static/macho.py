"""python3 macho.py PROGRAM: whether macOS on Apple silicon would load it, as far as its bytes tell.

It must be a 64-bit arm64 executable that needs nothing outside of the system, and whose signature (the kernel ends a
program without one) has the hash of every page right: a tool that strips after the linker has signed breaks that.
"""

import hashlib
import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()

MH_MAGIC_64, CPU_ARM64, MH_EXECUTE = 0xFEEDFACF, 0x0100000C, 2
LOAD_DYLIB, CODE_SIGNATURE, BUILD_VERSION = 0xC, 0x1D, 0x32
CODE_DIRECTORY = 0xFADE0C02

magic, cpu, _, kind, commands, _, _, _ = struct.unpack_from("<8I", data)
assert (magic, cpu, kind) == (MH_MAGIC_64, CPU_ARM64, MH_EXECUTE), "no arm64 executable"

libraries, signature, minimum = [], None, None
at = 32
for _ in range(commands):
    command, size = struct.unpack_from("<2I", data, at)
    if command & 0x7FFFFFFF in (LOAD_DYLIB, 0x18, 0x1F):  # also weak and re-exported ones
        name = at + struct.unpack_from("<I", data, at + 8)[0]
        libraries.append(data[name : data.index(b"\0", name)].decode())
    elif command == CODE_SIGNATURE:
        signature = struct.unpack_from("<2I", data, at + 8)[0]
    elif command == BUILD_VERSION:
        version = struct.unpack_from("<I", data, at + 12)[0]
        minimum = f"{version >> 16}.{version >> 8 & 255}"
    at += size

for library in libraries:
    assert library.startswith(("/usr/lib/", "/System/Library/")), f"{library} is not of the system"
assert signature, "it is not signed"

_, _, blobs = struct.unpack_from(">3I", data, signature)
for index in range(blobs):
    start = signature + struct.unpack_from(">2I", data, signature + 12 + 8 * index)[1]
    if struct.unpack_from(">I", data, start)[0] == CODE_DIRECTORY:
        break
else:
    raise AssertionError("its signature has no code directory")
hashes, _, _, slots, limit, length, algorithm, _, page_bits = struct.unpack_from(">5I4B", data, start + 16)
assert (length, algorithm) == (32, 2), "its signature is not of SHA-256"
for slot in range(slots):
    page = data[slot << page_bits : min((slot + 1) << page_bits, limit)]
    wanted = data[start + hashes + 32 * slot :][:32]
    assert hashlib.sha256(page).digest() == wanted, f"page {slot} is not what was signed"

print(f"    macOS {minimum} or newer; {slots} signed pages are right; needs {', '.join(libraries)}")
