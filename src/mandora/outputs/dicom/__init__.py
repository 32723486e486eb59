"""Results as DICOM objects that lie beside the films in an archive; needs the extra ``dicom``.

Of each patient: one structured report, and of each film a segmentation of the joint spaces, a
presentation state with boxes and labels, and pictures for viewers that show nothing else.
:mod:`~mandora.outputs.dicom.export` puts them together, :mod:`~mandora.outputs.dicom.read_back`
reads a report back. Other rooms import them only when they are needed: they load highdicom.
"""
