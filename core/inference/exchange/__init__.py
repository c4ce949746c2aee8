"""Models of other libraries: weights of Keras and PyTorch into a Freshet model file, a Freshet model as ONNX."""
