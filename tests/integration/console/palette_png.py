"""Small pictures: a screenshot as PNG with a palette of at most 256 colours.

In: a PNG of any kind (the browser itself decodes it). Out: an indexed PNG, usually a third of the size.
"""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser

COMMON = 150
DECODE = """async (data) => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + data)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const bytes = pen.getImageData(0, 0, image.width, image.height).data;
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return [image.width, image.height, btoa(text)];
}"""


def decode(browser: Browser, png: bytes) -> NDArray[np.uint8]:
    """The pixels (height, width, 3)."""
    page = browser.new_page()
    width, height, text = page.evaluate(DECODE, base64.b64encode(png).decode())
    page.close()
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[:, :, :3]


def reduce(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Palette (n ≤ 256, 3) and index per pixel: the commonest and the farthest stay, others take the nearest."""
    red, green, blue = ((pixels[:, :, i].astype(np.uint32) & 0xFC) << shift for i, shift in enumerate((16, 8, 0)))
    packed, inverse, counts = np.unique(red | green | blue, return_inverse=True, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 0xFF, packed & 0xFF], axis=1)
    chosen = list(np.argsort(counts)[::-1][:COMMON])
    distance = np.full(len(colours), np.inf)
    for i in range(min(256, len(colours))):
        if i >= len(chosen):
            chosen.append(int(distance.argmax()))  # rare colours far from all others stay too
        distance = np.minimum(distance, ((colours.astype(np.int32) - colours[chosen[i]].astype(np.int32)) ** 2).sum(1))
    palette = colours[chosen].astype(np.int32)
    nearest = np.empty(len(colours), np.uint8)
    for start in range(0, len(colours), 1024):
        part = colours[start : start + 1024].astype(np.int32)
        nearest[start : start + 1024] = ((part[:, None] - palette[None]) ** 2).sum(2).argmin(1)
    full = palette | palette >> 6
    return full.astype(np.uint8), nearest[inverse.reshape(-1)].reshape(pixels.shape[:2])


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def shrink(browser: Browser, png: bytes) -> bytes:
    """The same picture with a palette."""
    palette, index = reduce(decode(browser, png))
    height, width = index.shape
    rows = np.zeros((height, width + 1), np.uint8)  # a leading 0 on each row: no filter
    rows[:, 1:] = index
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette.tobytes())
            + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b""))  # fmt: skip
