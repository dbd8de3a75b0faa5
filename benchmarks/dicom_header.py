"""Header of a made DICOM slide, for benchmarks and tests."""

from typing import Any

_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator"),
)


def slide_header(height: int, width: int) -> Any:
    """Return the header of a volume image without names.

    Args:
        height: Px of level 0.
        width: The same.
    """
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.ImageType, image.Modality = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "SM"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(image, name, generate_uid())
    for name in _EMPTY:
        setattr(image, name, "")
    image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = height, width
    return image
