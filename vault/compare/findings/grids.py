"""Doses and images: what their headers say; of the pixels, that they differ (PS3.3 C.7.6, C.8.8.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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


def dose(attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in a dose."""
    return [_scaled(said, attributes) for said in tell(_DOSE, attributes, old, new)]


def image(attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in an image."""
    return tell(_IMAGE, attributes, old, new)


def _scaled(said: Said, attributes: Sequence[AttributeChange]) -> Said:
    """What another scaling of the pixels means: every dose is so many times what it was."""
    if said.subject != "dose.scaling":
        return said
    change = next(one for one in attributes if one.keyword == "DoseGridScaling")
    old, new = number(change.old), number(change.new)
    if not old or new is None:
        return said
    return replace(
        said,
        text=f"dose scaling {change.old} → {change.new}: every dose is {figure(new / old)} times what it was",
    )
