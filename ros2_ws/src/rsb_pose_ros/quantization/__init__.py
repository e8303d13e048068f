"""float32 ONNX graph → INT8 graph with explicit Q/DQ: calibration, sensitivity, storage, TensorRT's rules. No torch."""
