"""The normal form read back."""

import pytest

from vault.normal.lines import Line, of_keywords, parse


@pytest.mark.parametrize(
    ("text", "path", "vr", "value", "keyword", "tag"),
    [
        ('RTPlanLabel SH "A B"', "RTPlanLabel", "SH", '"A B"', "RTPlanLabel", "(300a,0002)"),
        ("A[2].GantryAngle DS 181", "A[2].GantryAngle", "DS", "181", "GantryAngle", "(300a,011e)"),
        ('X["a b c"].GantryAngle DS 1', 'X["a b c"].GantryAngle', "DS", "1", "GantryAngle", "(300a,011e)"),
        ('{A B}(0029,xx10) UN "x"', "{A B}(0029,xx10)", "UN", '"x"', "", "(0029,xx10)"),
        ('{A}(0029,00xx) LO "A"', "{A}(0029,00xx)", "LO", '"A"', "", "(0029,00xx)"),
        ("(0029,1010) UN 0 bytes", "(0029,1010)", "UN", "0 bytes", "", "(0029,1010)"),
        (
            "{A B}(0029,xx10)[1].(unparsed) UN 3 bytes x",
            "{A B}(0029,xx10)[1].(unparsed)",
            "UN",
            "3 bytes x",
            "",
            "",
        ),
        (
            "BeamSequence[1] SQ empty item",
            "BeamSequence[1]",
            "SQ",
            "empty item",
            "BeamSequence",
            "(300a,00b0)",
        ),
        ("(opaque) UN 3 bytes sha256:ab", "(opaque)", "UN", "3 bytes sha256:ab", "", ""),
        ("PatientName PN UN SQ x", "PatientName", "PN", "UN SQ x", "PatientName", "(0010,0010)"),
    ],
)
def test_a_line_is_taken_apart(text, path, vr, value, keyword, tag):
    (line,) = parse([b"normal-form 1\n", text.encode() + b"\n", b"\n"])
    assert line == Line(path, vr, value)
    assert (line.keyword, line.tag) == (keyword, tag)


def test_lines_are_chosen_by_their_element():
    wanted = [
        b"BeamDose DS 2\n",
        b"FractionGroupSequence[1].ReferencedBeamSequence[2.25.1].BeamDose DS 2\n",
        b'X["a b.c"].BeamDose DS 1\n',
        b"{A BeamDose}(0029,xx10)[1].BeamDose DS 1\n",
    ]
    others = [
        b"normal-form 1\n",
        b"BeamDoseX DS 2\n",
        b"BeamDose[1].Other DS 2\n",
        b"BeamDose[1] SQ empty item\n",
    ]
    assert list(of_keywords([*others, *wanted], {b"BeamDose"})) == wanted
