# Expat's word on streams: batches of them come on standard input, readings go out on standard output.
import pyexpat
import struct
import sys


def read(data):
    items, events, depth = [], [], 0
    parser = pyexpat.ParserCreate(None, "\x01")
    parser.ordered_attributes = True
    parser.buffer_text = True

    def start(name, attributes):
        nonlocal depth
        depth += 1
        events.append("S" + (name if "\x01" in name else "\x01" + name))
        if attributes:
            names = [name if "\x01" in name else "\x01" + name for name in attributes[::2]]
            events.extend(
                "A" + name + "\x01" + value for name, value in sorted(zip(names, attributes[1::2]), key=parts)
            )
        if depth == 1:
            items.append("H" + "\x02".join(events) + "\x02")
            events.clear()

    def end(_name):
        nonlocal depth
        depth -= 1
        if depth == 0:
            items.append("F")
            return
        events.append("E")
        if depth == 1:
            items.append("M" + "\x02".join(events) + "\x02")
            events.clear()

    def text(text):
        if depth == 1:
            if text.strip(" \t\r\n"):
                items.append("Rtext")
        elif events[-1][0] == "T":
            events[-1] += text
        else:
            events.append("T" + text)

    def foreign(what):
        return lambda *_: items.append("R" + what)

    def cdata():
        if depth == 1:
            items.append("Rcdata")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.CommentHandler = foreign("comment")
    parser.ProcessingInstructionHandler = foreign("instruction")
    parser.StartDoctypeDeclHandler = foreign("doctype")
    parser.StartCdataSectionHandler = cdata
    parser.XmlDeclHandler = lambda version, encoding, _: items.append(f"Rdeclaration {version} {encoding}")
    try:
        parser.Parse(data, False)
        items.append("O")
    except (pyexpat.ExpatError, LookupError, ValueError) as error:
        items.append("E" + str(error))
    return "\x03".join(items)


def parts(pair):
    return pair[0].split("\x01"), pair[1]


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        batch = source.read(struct.unpack("<I", head)[0])
        at, answers = 0, []
        while at < len(batch):
            (length,) = struct.unpack_from("<I", batch, at)
            answers.append(read(batch[at + 4 : at + 4 + length]))
            at += 4 + length
        answer = "\x04".join(answers).encode("utf-8", "surrogatepass")
        sink.write(struct.pack("<I", len(answer)) + answer)
        sink.flush()


main()
