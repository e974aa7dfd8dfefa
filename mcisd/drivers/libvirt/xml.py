"""XML by nested calls. Pure. In: tag, attributes, children. Out: an element with its values escaped."""

import xml.etree.ElementTree as ET


def node(tag: str, *children: ET.Element | str | None, **attributes: str | None) -> ET.Element:
    """``node("a", "text", href="b")``; a None child or attribute is left out, ``type_`` stands for ``type``."""
    made = ET.Element(tag, {name.rstrip("_"): value for name, value in attributes.items() if value is not None})
    for child in children:
        if isinstance(child, str):
            made.text = (made.text or "") + child
        elif child is not None:
            made.append(child)
    return made


def text_of(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def parsed(text: str) -> ET.Element:
    """What libvirt wrote."""
    return ET.fromstring(text)  # noqa: S314 - libvirt wrote it
