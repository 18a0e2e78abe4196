"""Doses and images: what their headers say, and by how much the pixels differ (PS3.3 C.7.6, C.8.8.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vault.compare.findings import pixels
from vault.compare.findings.contents import Contents
from vault.compare.findings.quantities import figure, number
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Term, Vocabulary, terms
from vault.model import AttributeChange

_GEOMETRY = {
    "ImagePositionPatient": Term("geometry", "image position", "mm", "point"),
    **terms(
        "geometry",
        ImageOrientationPatient="image orientation",
        PixelSpacing="pixel spacing (mm)",
        SliceThickness="slice thickness (mm)",
        SpacingBetweenSlices="spacing between slices (mm)",
        SliceLocation="slice location (mm)",
        GridFrameOffsetVector="positions of the planes (mm)",
        Rows="rows",
        Columns="columns",
        NumberOfFrames="planes",
        PatientPosition="patient position",
        PatientOrientation="patient orientation",
        PixelRepresentation="sign of the pixels",
        BitsAllocated="bits allocated",
        BitsStored="bits stored",
        HighBit="high bit",
        SamplesPerPixel="samples per pixel",
        PhotometricInterpretation="photometric interpretation",
        # RT image
        RTImagePosition="image position (mm)",
        RTImageOrientation="image orientation",
        ImagePlanePixelSpacing="pixel spacing (mm)",
        RTImageSID="SID (mm)",
        RadiationMachineSAD="SAD (mm)",
        GantryAngle="gantry angle (°)",
        XRayImageReceptorTranslation="receptor translation (mm)",
    ),
}

_DOSE = Vocabulary(
    "dose",
    {
        **_GEOMETRY,
        **terms("pixels", PixelData="dose values"),
        **terms("scaling", DoseGridScaling="dose scaling"),
        **terms("kind", DoseUnits="dose units", DoseType="dose type", DoseSummationType="summation type"),
        **terms("comment", DoseComment="comment", TissueHeterogeneityCorrection="heterogeneity correction"),
        **terms("prescription", "Gy", "relative", NormalizationPoint="normalization point"),
    },
    {
        "ReferencedRTPlanSequence": Item("reference to plan", "references"),
        "ReferencedStructureSetSequence": Item("reference to structure set", "references"),
        "DVHSequence": Item("DVH", "dvh"),
    },
)

_IMAGE = Vocabulary(
    "image",
    {
        **_GEOMETRY,
        **terms("pixels", PixelData="pixel values"),
        **terms(
            "scaling",
            RescaleSlope="rescale slope",
            RescaleIntercept="rescale intercept",
            RescaleType="rescale type",
        ),
        **terms(
            "acquisition",
            KVP="kVp",
            ConvolutionKernel="kernel",
            XRayTubeCurrent="tube current",
            ExposureTime="exposure time",
            AcquisitionDate="acquisition date",
            AcquisitionTime="acquisition time",
            ImageType="image type",
            ProtocolName="protocol",
            WindowCenter="window centre",
            WindowWidth="window width",
        ),
    },
    {"ReferencedRTPlanSequence": Item("reference to plan", "references")},
)


def dose(
    attributes: Sequence[AttributeChange], old: bytes, new: bytes, contents: Contents | None = None
) -> list[Said]:
    """What changed in a dose."""
    said = tell(_DOSE, attributes, old, new)
    if not any(one.keyword == "PixelData" for one in attributes):
        said = [_scaled(one, attributes) for one in said]
    return _measured(said, ("dose.pixels", "dose.scaling"), contents, pixels.dose)


def image(
    attributes: Sequence[AttributeChange], old: bytes, new: bytes, contents: Contents | None = None
) -> list[Said]:
    """What changed in an image."""
    return _measured(
        tell(_IMAGE, attributes, old, new), ("image.pixels", "image.scaling"), contents, pixels.image
    )


def _measured(
    said: list[Said], subjects: Sequence[str], contents: Contents | None, measure: Callable[[Contents], str]
) -> list[Said]:
    """The findings, the first about the pixels' values with by how much these differ."""
    found = min(
        (one for one in said if one.subject in subjects),
        key=lambda one: subjects.index(one.subject),
        default=None,
    )
    by = measure(contents) if contents and found else ""
    return [replace(one, text=f"{one.text}: {by}") if by and one is found else one for one in said]


def _scaled(said: Said, attributes: Sequence[AttributeChange]) -> Said:
    """What another scaling of the same pixels means: every dose is so many times what it was."""
    change = next((one for one in attributes if one.keyword == "DoseGridScaling"), None)
    if said.subject != "dose.scaling" or change is None:
        return said
    old, new = number(change.old), number(change.new)
    if not old or new is None:
        return said
    text = f"dose scaling {change.old} → {change.new}, every dose {figure(new / old)} times what it was"
    return replace(said, text=text)
