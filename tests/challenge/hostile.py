"""What students could hand in to break the grader, cheat it or harm others, and what the report says."""

import io
import json
import os
import pickle
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from classroom import Arrays, Classroom, arrays
from safetensors.numpy import save

Kind = Callable[[Classroom], None]
KINDS: dict[str, tuple[Kind, str]] = {}
ME = "mallory.safetensors"
LINEAR = {name: values for name, values in arrays("mallory").items() if name.startswith("linear")}
GOOD = save(LINEAR)


def kind(words: str) -> Callable[[Kind], Kind]:
    """Register a way to be hostile under its function's name, with what the report must say."""

    def register(function: Kind) -> Kind:
        KINDS[function.__name__] = function, words
        return function

    return register


def safe(header: object, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def entry(shape: object, start: object, stop: object, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def npy(values: np.ndarray, header: bytes | None = None, **how) -> bytes:
    out = io.BytesIO()
    np.save(out, values, **how)
    if header is None:
        return out.getvalue()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values.tobytes()


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def linear(**changed: np.ndarray) -> Arrays:
    return LINEAR | {f"linear.{name}": values for name, values in changed.items()}


PACKED = {f"{name}.npy": npy(values) for name, values in LINEAR.items()}


class Evil:
    """Whoever unpickles it makes a file."""

    def __reduce__(self):
        return open, ("PWNED", "w")


# --- files that are broken ---


@kind("mallory: 0 points: is empty")
def empty(room: Classroom) -> None:
    room.put(ME, b"")


@kind("0 points: has 5 bytes, too few for a safetensors file")
def nearly_empty(room: Classroom) -> None:
    room.put(ME, GOOD[:5])


@kind("0 points: is truncated, or lies: linear.inputs should be bytes 8 to 3080 of 3,077")
def truncated(room: Classroom) -> None:
    room.put(ME, GOOD[:-3])


@kind("0 points: is truncated: its header should have")
def truncated_in_the_header(room: Classroom) -> None:
    room.put(ME, GOOD[:40])


@kind("0 points: describes .* bytes of values, and has")
def more_than_it_says(room: Classroom) -> None:
    room.put(ME, GOOD + b"\0" * 100)


@kind("0 points: is no npz file, or not all of one")
def truncated_archive(room: Classroom) -> None:
    room.put("mallory.npz", npz(PACKED)[:-40])


@kind("linear: 0 points: inputs must be float32 .* got nothing readable .*CRC")
def wrong_checksum(room: Classroom) -> None:
    data = bytearray(npz(PACKED))
    data[600] ^= 1
    room.put("mallory.npz", bytes(data))


@kind("0 points: is no safetensors file: its header is not JSON")
def not_json(room: Classroom) -> None:
    room.put(ME, safe(b"{'linear.inputs': 1}"))


@kind("0 points: is no safetensors file: its header is not JSON")
def not_utf8(room: Classroom) -> None:
    room.put(ME, safe(b'{"\xff\xfe": 1}'))


@kind("0 points: is no safetensors file: its header is not a table")
def a_list_as_header(room: Classroom) -> None:
    room.put(ME, safe([1, 2, 3]))


# --- sizes that lie ---


@kind("0 points: has 3,000,000,000 bytes, and at most 2,097,152 are read")
def huge_file(room: Classroom) -> None:
    room.put(ME, GOOD)
    os.truncate(room.submissions / ME, 3_000_000_000)  # without a block on the disk


@kind("0 points: says its header has 1,152,921,504,606,846,976 bytes")
def huge_header_claimed(room: Classroom) -> None:
    room.put(ME, (1 << 60).to_bytes(8, "little") + GOOD[8:])


@kind("0 points: says its header has .* at most 65,536")
def metadata_bomb(room: Classroom) -> None:
    room.put(ME, save(LINEAR, metadata={f"note {i}": "x" * 100 for i in range(10_000)}))


@kind("0 points: is no safetensors file: its header is not JSON")
def brackets_a_thousand_deep(room: Classroom) -> None:
    room.put(ME, safe(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"))


@kind("0 points: does not say what linear.inputs is")
def number_of_many_digits(room: Classroom) -> None:
    room.put(
        ME, safe(b'{"linear.inputs":{"dtype":"F32","shape":[' + b"9" * 9000 + b'],"data_offsets":[0,4]}}')
    )


@kind(r"linear: 0 points: inputs must be float32 of shape \(1, 3, 16, 16\), got float32 of shape \(100000")
def huge_shape(room: Classroom) -> None:
    header = {"linear.inputs": entry([10**17, 3, 16, 16], 0, 4), "linear.labels": entry([1], 4, 12, "I64")}
    room.put(ME, safe(header, b"\0" * 12))


@kind("linear: 0 points: inputs: its shape needs 3,072 bytes, and 4 are there")
def shape_without_its_values(room: Classroom) -> None:
    header = {"linear.inputs": entry([1, 3, 16, 16], 0, 4), "linear.labels": entry([1], 4, 12, "I64")}
    room.put(ME, safe(header, b"\0" * 12))


@kind("0 points: is truncated, or lies: linear.inputs should be bytes 0 to 1000000000")
def offsets_beyond_the_end(room: Classroom) -> None:
    room.put(ME, safe({"linear.inputs": entry([1, 3, 16, 16], 0, 10**9)}, b"\0" * 8))


@kind("0 points: has linear.inputs at byte 0 of the values, where 8 was expected")
def two_arrays_in_one_place(room: Classroom) -> None:
    header = {"linear.inputs": entry([1, 3, 16, 16], 0, 3072), "linear.labels": entry([1], 0, 8, "I64")}
    room.put(ME, safe(header, b"\0" * 3072))


@kind("0 points: does not say what linear.inputs is")
def negative_offset(room: Classroom) -> None:
    room.put(ME, safe({"linear.inputs": entry([1], -4, 0)}, b"\0" * 8))


@kind("0 points: does not say what linear.inputs is")
def true_as_a_size(room: Classroom) -> None:
    room.put(ME, safe({"linear.inputs": entry([True, 3, 16, 16], 0, 3072)}, b"\0" * 3072))


@kind("0 points: says linear.labels twice in its header")
def name_twice(room: Classroom) -> None:
    one = json.dumps(entry([1], 0, 8, "I64"))
    room.put(ME, safe(f'{{"linear.labels": {one}, "linear.labels": {one}}}'.encode(), b"\0" * 8))


@kind("linear: 0 points: inputs: its shape needs 3,072 bytes, and more are there")
def zip_bomb(room: Classroom) -> None:
    header = npy(LINEAR["linear.inputs"])[:128]
    bomb = PACKED | {"linear.inputs.npy": header + b"\0" * 60_000_000}
    room.put("mallory.npz", npz(bomb, zipfile.ZIP_DEFLATED))


@kind("0 points: has 2,000 members, and at most 500 are read")
def many_members(room: Classroom) -> None:
    room.put("mallory.npz", npz({f"{i}": b"" for i in range(2_000)}))


@kind(r"inputs must be float32 of shape \(1, 3, 16, 16\), got float32 of shape \(9999999999,\)")
def npy_header_that_claims_much(room: Classroom) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }\n"
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": npy(np.zeros(1), header)}))


@kind("got an npy file whose header numpy did not write")
def npy_header_with_code(room: Classroom) -> None:
    header = b"{'descr': open('PWNED', 'w'), 'fortran_order': False, 'shape': (1, 3, 16, 16), }\n"
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": npy(np.zeros(1), header)}))


@kind("inputs must be .* got a header of 4,000,000,000 bytes")
def npy_header_that_is_huge(room: Classroom) -> None:
    start = b"\x93NUMPY\x02\x00" + struct.pack("<I", 4_000_000_000)
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": start}))


# --- code, and archives that lead elsewhere ---


@kind("0 points: is no npz file")
def pickle_named_npz(room: Classroom) -> None:
    room.put("mallory.npz", pickle.dumps(Evil()))


@kind("0 points: says its header has")
def pickle_named_safetensors(room: Classroom) -> None:
    room.put(ME, pickle.dumps(Evil()))


@kind("inputs must be .* got pickled objects, which are never loaded")
def array_of_objects(room: Classroom) -> None:
    evil = npy(np.array([Evil()], dtype=object), allow_pickle=True)
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": evil}))


@kind("mallory: the rest of the file was not asked for and not read: .*data.pkl")
def saved_by_torch(room: Classroom) -> None:
    out = io.BytesIO()
    torch.save({"linear.inputs": Evil()}, out)
    room.put("mallory.npz", out.getvalue())


@kind(r"the rest of the file was not asked for and not read: \.\./\.\./PWNED, /tmp/PWNED")
def members_with_paths(room: Classroom) -> None:
    room.put("mallory.npz", npz({"../../PWNED.npy": PACKED["linear.inputs.npy"], "/tmp/PWNED.npy": b""}))


@kind("linear: 0 points: inputs must be float32 .* got no npy file")
def link_in_an_archive(room: Classroom) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("linear.inputs.npy")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, str(room.submissions / "alice.safetensors"))
        archive.writestr("linear.labels.npy", PACKED["linear.labels.npy"])
    room.put("mallory.npz", out.getvalue())


@kind("linear: 0 points: inputs must be float32 .* got no npy file")
def archive_in_an_archive(room: Classroom) -> None:
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": npz(PACKED)}))


@kind("0 points: has two members linear.labels: leave one")
def member_twice(room: Classroom) -> None:
    data = npz(PACKED | {"linear.labels.npX": PACKED["linear.labels.npy"]})
    room.put("mallory.npz", data.replace(b"labels.npX", b"labels.npy"))


@kind("0 points: inputs must be .* got nothing readable .*encrypted")
def encrypted(room: Classroom) -> None:
    data = bytearray(npz(PACKED))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    room.put("mallory.npz", bytes(data))


@kind("0 points: inputs must be .* got a compression that numpy does not use")
def other_compression(room: Classroom) -> None:
    room.put("mallory.npz", npz(PACKED, zipfile.ZIP_LZMA))


# --- values ---


@kind("linear: 0 points: inputs hold NaN or infinite values")
def not_a_number(room: Classroom) -> None:
    room.put(ME, save(linear(inputs=np.full((1, 3, 16, 16), np.nan, np.float32))))


@kind("linear: 0 points: inputs hold NaN or infinite values")
def infinite(room: Classroom) -> None:
    room.put(ME, save(linear(inputs=np.full((1, 3, 16, 16), -np.inf, np.float32))))


@kind(r"linear: 0 points: inputs must be in \[0, 1\], so clamp them: they go from 0 to 255")
def out_of_range(room: Classroom) -> None:
    room.put(ME, save(linear(inputs=(LINEAR["linear.inputs"] > 0.5) * np.float32(255))))


@kind(r"text: 0 points: inputs must be tokens from 0 to \d+: they go from -5 to")
def no_tokens(room: Classroom) -> None:
    words = arrays("mallory", levels=["text"])
    words["text.inputs"][:] = -5
    room.put(ME, save(words))


@kind("linear: 0 points: inputs must be float32 .* got float64 of shape")
def double_precision(room: Classroom) -> None:
    room.put(ME, save(linear(inputs=LINEAR["linear.inputs"].astype(np.float64))))


@kind("linear: 0 points: inputs must be float32 .* got float32 with the bytes the other way round")
def other_endianness(room: Classroom) -> None:
    swapped = npy(LINEAR["linear.inputs"].astype(">f4"))
    room.put("mallory.npz", npz(PACKED | {"linear.inputs.npy": swapped}))


@kind(
    r"linear: 0 points: inputs must be float32 of shape \(1, 3, 16, 16\), got float32 of shape \(3, 16, 16\)"
)
def wrong_shape(room: Classroom) -> None:
    room.put(ME, save(linear(inputs=LINEAR["linear.inputs"][0])))


@kind(r"linear: 0 points: labels must be int64 of shape \(1,\), got float32")
def labels_that_are_floats(room: Classroom) -> None:
    room.put(ME, save(linear(labels=np.array([1], np.float32))))


@kind("linear: 0 points: has inputs and no labels: hand in both")
def half_an_answer(room: Classroom) -> None:
    room.put(ME, save({"linear.inputs": LINEAR["linear.inputs"]}))


@kind("mallory: the rest of the file was not asked for and not read: linear.truth, secret")
def extra_tensors(room: Classroom) -> None:
    room.put(ME, save({"linear.truth": np.zeros(9), "secret": np.zeros((2, 2))}))


# --- what is no file, or someone else's ---


@kind("mallory: 0 points: is a link, and links are not followed")
def link_to_another_s_file(room: Classroom) -> None:
    (room.submissions / ME).symlink_to("alice.safetensors")


@kind("mallory: 0 points: is a link, and links are not followed")
def link_to_the_key(room: Classroom) -> None:
    (room.submissions / ME).symlink_to(room.key)


@kind("mallory: 0 points: is a link, and links are not followed")
def link_to_itself(room: Classroom) -> None:
    (room.submissions / ME).symlink_to(ME)


@kind("mallory: 0 points: is a link, and links are not followed")
def linked_folder(room: Classroom) -> None:
    (room.submissions / ME).symlink_to(room.folder, target_is_directory=True)


@kind("mallory: 0 points: is a folder where a file was expected")
def folder(room: Classroom) -> None:
    (room.submissions / ME).mkdir()
    (room.submissions / ME / ME).write_bytes(GOOD)


@kind("mallory: 0 points: is a pipe, not a file")
def pipe(room: Classroom) -> None:
    os.mkfifo(room.submissions / ME)


@kind("mallory: 0 points: is a socket, not a file")
def listening_socket(room: Classroom) -> None:
    before = Path.cwd()
    os.chdir(room.submissions)  # the path of a socket has 100 letters at most
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(ME)
    finally:
        os.chdir(before)


@kind("left out: no id of the roster is in its name")
def unknown_id(room: Classroom) -> None:
    room.put("trudy.safetensors", GOOD)


@kind(r"mallory: 0 points: there are 2 files with the same number \(mallory.npz, mallory.safetensors\): keep")
def two_files(room: Classroom) -> None:
    room.put(ME, GOOD)
    room.put("mallory.npz", npz(PACKED))


@kind(
    r"mallory: 0 points: there are 2 files with the same number \(Mallory.safetensors, mallory.safetensors\)"
)
def two_files_but_for_case(room: Classroom) -> None:
    room.put(ME, GOOD)
    room.put("Mallory.safetensors", GOOD)


@kind(r"mallory-9.npz, mallory: does not count: mallory-10.npz has a higher number")
def resubmissions(room: Classroom) -> None:
    room.put("mallory-9.npz", npz(PACKED))
    room.put("mallory-10.npz", b"not this time")


@kind("mallory, linear: 0 points: this is what alice holds")
def another_s_answer(room: Classroom) -> None:
    room.put(ME, save(arrays("alice")))


@kind("linear, lenet, .*text: the same answer to the bit from alice, mallory")
def another_s_file(room: Classroom) -> None:
    room.put(ME, (room.submissions / "alice.safetensors").read_bytes())


@kind("mallory, two: 0 points: this is what bob holds")
def another_s_answer_with_noise_and_in_another_order(room: Classroom) -> None:
    found = arrays("bob", noise=0.04, levels=["two", "pair"])
    room.put(ME, save({name: values[::-1].copy() for name, values in found.items()}))


@kind(r"mallory\.pt, mallory: 0 points: is no answer: \.safetensors or \.npz was expected")
def another_ending(room: Classroom) -> None:
    room.put("mallory.pt", GOOD)


@kind(r"\\x1b\[2J\\n\\u202e<img src=x onerror=alert\(1\)>_1_2_mallory.npz, mallory: 0 points: is no npz file")
def name_with_escapes(room: Classroom) -> None:
    room.put("\x1b[2J\n\u202e<img src=x onerror=alert(1)>_1_2_mallory.npz", b"x")


@kind(r"\\udcff\\udcfe.npz: left out")
def name_that_is_no_text(room: Classroom) -> None:
    room.put(b"\xff\xfe.npz", GOOD)


@kind(r"=cmd_1_2_mallory-3.npz, mallory: 0 points: is no npz file")
def name_like_a_formula(room: Classroom) -> None:
    room.put("=cmd_1_2_mallory-3.npz", b"x")
