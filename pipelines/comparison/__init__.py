"""Does the GAN help, and how sure are we?"""
