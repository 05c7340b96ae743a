"""Compiles every .hlsl file of a folder with Microsoft's DirectX shader compiler, whose library is given.

    python3 compile.py LIBDXCOMPILER FOLDER

The first line of a file names its entry points. The library is called as it was built for Linux, where its objects have two
destructors in their table of methods; newer builds leave these out, and both are tried.
"""

import ctypes
import sys
import uuid
from pathlib import Path

POINTER = ctypes.c_void_p
OUT = ctypes.POINTER(POINTER)
ARGUMENTS = ["-T", "cs_6_2", "-HV", "2018", "-enable-16bit-types"]
UTF8 = 65001


class Guid(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 16)]

    def __init__(self, text):
        super().__init__((ctypes.c_ubyte * 16)(*uuid.UUID(text).bytes_le))


class Buffer(ctypes.Structure):
    _fields_ = [("content", POINTER), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


COMPILER_CLASS = Guid("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0")
COMPILER = Guid("228b4687-5a6a-4730-900c-9702b2203f54")
RESULT = Guid("58346cda-dde7-4497-9461-6f87af5e0659")


def method(instance, slot, result, *types):
    table = ctypes.cast(instance, ctypes.POINTER(ctypes.POINTER(POINTER)))[0]
    return lambda *arguments: ctypes.CFUNCTYPE(result, POINTER, *types)(table[slot])(instance, *arguments)


def compile_text(compiler, first, text, entry):
    """None, or what the compiler says against it. `first`: slot of the first method after those of every object."""
    words = ["-E", entry, *ARGUMENTS]
    content = ctypes.create_string_buffer(text, len(text))
    source = Buffer(ctypes.addressof(content), len(text), UTF8)
    result, status, messages = POINTER(), ctypes.c_int32(-1), POINTER()
    types = (ctypes.POINTER(Buffer), ctypes.POINTER(ctypes.c_wchar_p), ctypes.c_uint32, POINTER, ctypes.POINTER(Guid), OUT)
    run = method(compiler, first, ctypes.c_int32, *types)
    run(source, (ctypes.c_wchar_p * len(words))(*words), len(words), None, RESULT, result)
    if not result:
        return "no answer"
    method(result, first, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32))(status)
    if status.value == 0:
        return None
    method(result, first + 2, ctypes.c_int32, OUT)(messages)
    start = method(messages, first, POINTER)()
    return ctypes.string_at(start, method(messages, first + 1, ctypes.c_size_t)()).decode(errors="replace")


def main():
    library = ctypes.CDLL(sys.argv[1])
    compiler = POINTER()
    library.DxcCreateInstance.restype = ctypes.c_int32
    library.DxcCreateInstance(ctypes.byref(COMPILER_CLASS), ctypes.byref(COMPILER), ctypes.byref(compiler))
    # Sound and broken texts must be told apart, or the rest would say nothing.
    sound, broken = b"[numthreads(1, 1, 1)] void main() {}", b"[numthreads(1, 1, 1)] void main() { nothing(); }"
    first = next((slot for slot in (5, 3) if compile_text(compiler, slot, sound, "main") is None), None)
    if first is None or compile_text(compiler, first, broken, "main") is None:
        sys.exit("the compiler does not answer as expected")
    files, entries, wrong = sorted(Path(sys.argv[2]).glob("*.hlsl")), 0, 0
    for file in files:
        text = file.read_bytes()
        for entry in text.split(b"\n", 1)[0].decode().split()[1:]:
            entries += 1
            problem = compile_text(compiler, first, text, entry)
            if problem:
                wrong += 1
                print(f"WRONG {file.name}, {entry}: {problem}")
    print(f"{len(files)} texts, {entries} entry points compiled by DXC, {wrong} wrong")
    sys.exit(1 if wrong or not entries else 0)


main()
