// Finds things in a picture, with a Core ML package that edgekit exported, on iOS and macOS. It needs Network.swift.
//
//   edgekit export runs/signs --target coreml --int8 --outputs final --out exported
//
// The package suppresses boxes that overlap better ones itself, and Vision knows it for a detector.

import ImageIO
import Vision

final class Detector {
    /// Something in a picture: what it is, how certain that is, 0...1, and where, in pixels from the upper left corner.
    struct Thing {
        let label: String
        let score: Float
        let box: CGRect
    }

    private let network: Network

    /// - Parameter url: of the compiled model: Bundle.main.url(forResource: "NAME.int8", withExtension: "mlmodelc")
    init(url: URL) throws {
        network = try Network(url: url)
    }

    /// What is seen in a picture, the most certain first.
    func detect(
        _ picture: CGImage, orientation: CGImagePropertyOrientation = .up, leastScore: Float = 0.3
    ) throws -> [Thing] {
        let size = network.upright(picture, orientation)
        let region = network.region(size.width, size.height)
        return try network.run(picture, orientation: orientation).compactMap { found -> Thing? in
            guard let observation = found as? VNRecognizedObjectObservation, let best = observation.labels.first,
                best.confidence >= leastScore
            else { return nil }
            var box = VNImageRectForNormalizedRectUsingRegionOfInterest(
                observation.boundingBox, Int(size.width), Int(size.height), region)
            box.origin.y = size.height - box.maxY  // Vision counts from the lower edge
            return Thing(label: best.identifier, score: best.confidence, box: box)
        }.sorted { $0.score > $1.score }
    }
}
