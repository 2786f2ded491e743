"""The names of the views of an image, see `pipelines.study.views`."""

WHOLE, LUNG_BOX, LUNGS = "whole", "lung-box", "lungs"
VIEWS = (WHOLE, LUNG_BOX, LUNGS)
VIEW_TITLES = {
    WHOLE: "the whole image",
    LUNG_BOX: "the box of the lungs",
    LUNGS: "the lungs alone",
}
