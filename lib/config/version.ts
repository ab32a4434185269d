// The version that the programs say they have: package.json's, which an image or a lab has no need to hold.

export const VERSION = '0.1.0';
