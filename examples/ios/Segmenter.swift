// Says of what class each pixel of a picture is, with a Core ML package that edgekit exported, on iOS and macOS. It
// needs Network.swift.
//
//   edgekit export runs/road --target coreml --int8 --outputs final --out exported
//
// With --outputs decoded the package is quicker, and its mask coarser: drawn over the picture, it is enlarged.

import CoreML
import ImageIO
import Vision

final class Segmenter {
    /// Classes of pixels, row by row, over the part of the picture that the network sees.
    struct Mask {
        let width: Int
        let height: Int
        let classes: [Int32]
    }

    private let network: Network

    /// - Parameter url: of the compiled model: Bundle.main.url(forResource: "NAME.int8", withExtension: "mlmodelc")
    init(url: URL) throws {
        network = try Network(url: url)
    }

    /// The class of each pixel of a picture.
    func segment(_ picture: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> Mask? {
        let answer = try network.run(picture, orientation: orientation).first
        guard let observation = answer as? VNCoreMLFeatureValueObservation,
            let found = observation.featureValue.multiArrayValue, found.shape.count == 2
        else { return nil }
        let classes = (0..<found.count).map { found[$0].int32Value }
        return Mask(width: found.shape[1].intValue, height: found.shape[0].intValue, classes: classes)
    }

    /// The name of a class.
    func label(_ index: Int) -> String {
        network.label(index)
    }
}
