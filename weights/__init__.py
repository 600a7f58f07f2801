"""What is computed from a finished run's weights: loss landscapes and Fourier spectra."""
